"""Words and numbers of a sentence, each with its place, and errors that show it."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...parameters.errors import InputError, RegimenError, UnknownNameError, unknown

_NUMBER = r"(?:(?<![\w.])[+-])?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?(?![\d.])"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<word>[^\W\d_][^\W_]*)|(?P<sign>\S)", re.IGNORECASE)
_COMMENT = re.compile(r"#[^\n]*")


def without_comments(text: str) -> str:
    """Same text, in the same places, without what follows a '#' in a line."""
    return _COMMENT.sub(lambda comment: " " * len(comment[0]), text)


def place(text: str, at: int) -> str:
    """Where something stands: 'character 12', or 'line 2, character 3' in a text of several lines."""
    line, begin = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at) + 1
    return f"line {line}, character {at - begin + 1}" if "\n" in text.strip() else f"character {at - begin + 1}"


@dataclass(frozen=True)
class Token:
    """A word in small letters, a number or a sign; `at` is its place in the sentence."""

    text: str
    at: int
    number: float | None = None


class Cursor:
    """Reads a part of a sentence, token by token; its clause begins at `clause`."""

    def __init__(self, source: str, begin: int, end: int, clause: int | None = None) -> None:
        self.source, self.begin, self.end = source, begin if clause is None else clause, end
        self._tokens = [_token(match) for match in _TOKEN.finditer(source, begin, end)]
        self._next = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._next < len(self._tokens)

    @property
    def position(self) -> int:
        """Tokens that lie behind."""
        return self._next

    @property
    def place(self) -> int:
        """Where in the source the next token begins; the end if there is none."""
        return self._tokens[self._next].at if self else self.end

    def word(self, ahead: int = 0) -> str:
        """A word or sign that comes, '' for a number or at the end."""
        at = self._next + ahead
        return self._tokens[at].text if at < len(self._tokens) and self._tokens[at].number is None else ""

    def number(self, ahead: int = 0) -> float | None:
        """A number that comes; None if it is none."""
        at = self._next + ahead
        return self._tokens[at].number if at < len(self._tokens) else None

    def accept(self, *words: str) -> bool:
        """Take these words if they come next, in this order."""
        if all(self.word(k) == word for k, word in enumerate(words)):
            self._next += len(words)
            return True
        return False

    def one_of(self, words: Iterable[str]) -> str:
        """Take the next word if it is one of these; '' if not."""
        word = self.word() if self.word() in set(words) else ""
        self._next += bool(word)
        return word

    def take_number(self, what: str) -> float:
        """Take a number, or say what was expected."""
        value = self.number()
        if value is None or not math.isfinite(value):
            raise self.wrong(f"expected {what}")
        self._next += 1
        return value

    def wrong(self, message: str, kind: type[InputError] = RegimenError, *, back: int = 0) -> InputError:
        """An error at the next token, or so many before it."""
        at = self._next - back
        if at >= len(self._tokens):
            said = self.source[self.begin : self.end].strip()
            return kind(f"{place(self.source, self.end)}, after '{said}': {message}.")
        token = self._tokens[at]
        end = self._tokens[at + back].at if 0 < at + back < len(self._tokens) and back else self.end
        said = " ".join(self.source[token.at : end].split())
        return kind(f"{place(self.source, token.at)}, '{said}': {message}.")

    def whole(self, message: str, kind: type[InputError] = RegimenError) -> InputError:
        """An error about the whole clause."""
        said = " ".join(self.source[self.begin : self.end].split())
        return kind(f"{place(self.source, self.begin)}, '{said}': {message}.")

    def strange(self, known: Iterable[str]) -> UnknownNameError:
        """The next word is not known; says what is near."""
        token = self._tokens[self._next]
        return unknown("word of a schedule", token.text, known, place(self.source, token.at))


def _token(match: re.Match[str]) -> Token:
    if match["number"] is None:
        return Token(match[0].lower(), match.start())
    return Token(match[0], match.start(), float(match[0]))
