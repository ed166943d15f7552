"""Random numbers by (root seed, patient, name), for many patients and names at once.

`stream_keys(seed, [i])` is what `numpy.random.SeedSequence((seed, i)).generate_state(2, numpy.uint64)` gives. The
sequence is documented and fixed by numpy's compatibility policy (NEP 19); it follows M. E. O'Neill's seed_seq (2015).

`philox` is the counter-based generator Philox 4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3"): any number is had without the ones before it. Block b of a name has the words that the generator
`numpy.random.Philox(key=key_of_the_patient, counter=[0, word_of(name), 0, 0])` gives as its b-th four.
"""

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np

MOST_PATIENTS = 2**32
"""A patient's number is one word of 32 bits."""

_POOL = 4  # words
_WORD = 32  # bits
_ALL = 2**_WORD - 1
_START_MIX, _STEP_MIX = 0x43B0D7E5, 0x931E8875
_START_OUT, _STEP_OUT = 0x8B51F9DD, 0x58F38DED
_LEFT, _RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_HALF = np.uint32(16)

_ROUNDS = 10
_FACTORS = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], dtype=np.uint64).reshape(2, 1, 1)
_STEPS = np.array([0xBB67AE8584CAA73B, 0x9E3779B97F4A7C15], dtype=np.uint64).reshape(2, 1, 1)  # of the other word's key
_LOW, _HALF_WORD = np.uint64(_ALL), np.uint64(_WORD)
_FACTORS_LOW, _FACTORS_HIGH = _FACTORS & _LOW, _FACTORS >> _HALF_WORD
_AT_ONCE = 2**15  # blocks; intermediate results of more of them leave the processor's cache

_SPARE, _ONE = np.uint64(12), np.uint64(0x3FF0000000000000)  # bits of a word beyond 52, and those of the number 1.0


def stream_keys(seed: int, patients: np.ndarray) -> np.ndarray:
    """Key of the random numbers of every patient: array (n, 2) of 64-bit words."""
    words = [np.full(len(patients), word, dtype=np.uint32) for word in _words(seed)]
    words.append(np.asarray(patients).astype(np.uint32))
    scramble = _Scramble(_START_MIX, _STEP_MIX)
    nothing = np.zeros(len(patients), dtype=np.uint32)
    pool = [scramble(words[i] if i < len(words) else nothing) for i in range(_POOL)]
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                pool[target] = _mix(pool[target], scramble(pool[source]))
    for word in words[_POOL:]:
        for target in range(_POOL):
            pool[target] = _mix(pool[target], scramble(word))
    out = _Scramble(_START_OUT, _STEP_OUT)
    low_first = np.stack([out(word) for word in pool], axis=1).astype("<u4")
    return low_first.view("<u8").astype(np.uint64)


@cache
def word_of(name: str) -> int:
    """A name as a word of 64 bits, the same on every machine; two names with one word are not to be expected."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "little")


def uniforms(keys: np.ndarray, columns: Sequence[tuple[str, int]], words: int = 4) -> np.ndarray:
    """Uniforms strictly inside (0, 1), of 52 bits: array (n, columns, words).

    A column is a name and the number of a block of it; of the four words of a block the first `words` are kept.
    """
    names = np.array([word_of(name) for name, _ in columns], dtype=np.uint64)
    blocks = np.array([block for _, block in columns], dtype=np.uint64)
    result = np.empty((len(keys), len(columns), words))
    step = max(1, _AT_ONCE // max(1, len(columns)))
    for first in range(0, len(keys), step):
        part = slice(first, first + step)
        for place, word in enumerate(philox(keys[part], names, blocks)[:words]):
            # The upper bits become those of a number m from 1 to 2; m - 1 plus half of the last bit is exact.
            number = ((word >> _SPARE) | _ONE).view(np.float64)
            np.subtract(number, 1.0 - 2.0**-53, out=result[part, :, place])
    return result


def philox(keys: np.ndarray, names: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four words of a block, arrays (n, columns), for keys (n, 2) and the counters (block, name) of the columns."""
    key = np.ascontiguousarray(keys.T)[::-1, :, None]
    even = np.zeros((2, len(keys), len(names)), dtype=np.uint64)
    odd = np.zeros_like(even)
    even[0], odd[0] = blocks + np.uint64(1), names  # numpy counts before it draws
    for _ in range(_ROUNDS):
        high, low = _product(even)
        high ^= key
        odd ^= high[::-1]
        even, odd = odd, low[::-1]
        key = key + _STEPS
    return even[0], odd[0], even[1], odd[1]


def _product(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower word of the product with the generator's two factors, by halves of a word; in place for speed."""
    low, high = value & _LOW, value >> _HALF_WORD
    other = low * _FACTORS_LOW
    other >>= _HALF_WORD
    low *= _FACTORS_HIGH
    low += other
    np.multiply(high, _FACTORS_LOW, out=other)
    other += low & _LOW
    other >>= _HALF_WORD
    high *= _FACTORS_HIGH
    low >>= _HALF_WORD
    high += low
    high += other
    value *= _FACTORS
    return high, value


class _Scramble:
    """A hash whose constant changes with every use."""

    def __init__(self, constant: int, step: int) -> None:
        self._constant, self._step = constant, step

    def __call__(self, value: np.ndarray) -> np.ndarray:
        value = value ^ np.uint32(self._constant)
        self._constant = self._constant * self._step & _ALL
        value = value * np.uint32(self._constant)
        return value ^ (value >> _HALF)


def _mix(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    mixed = _LEFT * left - _RIGHT * right
    return mixed ^ (mixed >> _HALF)


def _words(number: int) -> list[int]:
    """A number in words of 32 bits, the lowest first; zero is one word."""
    words = [number & _ALL]
    while number := number >> _WORD:
        words.append(number & _ALL)
    return words
