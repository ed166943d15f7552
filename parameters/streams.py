"""Keys of the random streams: one per (root seed, patient), for many patients at once.

`stream_keys(seed, [i])` is what `numpy.random.SeedSequence((seed, i)).generate_state(2, numpy.uint64)` gives. The
sequence is documented and fixed by numpy's compatibility policy (NEP 19); it follows M. E. O'Neill's seed_seq (2015).
"""

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


def stream_keys(seed: int, patients: np.ndarray) -> np.ndarray:
    """Key of the Philox stream of every patient: array (n, 2) of 64-bit words."""
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


class _Scramble:
    """A hash whose constant changes with every use."""

    def __init__(self, constant: int, step: int) -> None:
        self._constant, self._step = constant, step

    def __call__(self, value: np.ndarray) -> np.ndarray:
        value = value ^ np.uint32(self._constant)
        self._constant = self._constant * self._step & _ALL
        value = value * np.uint32(self._constant)
        return value ^ (value >> _HALF)


def _mix(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    mixed = _LEFT * one - _RIGHT * other
    return mixed ^ (mixed >> _HALF)


def _words(number: int) -> list[int]:
    """A number in words of 32 bits, the lowest first; zero is one word."""
    words = [number & _ALL]
    while number := number >> _WORD:
        words.append(number & _ALL)
    return words
