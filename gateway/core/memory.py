"""Memory: how the C library treats what was freed."""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_MIB: Final = 1024 * 1024


def keep_freed() -> None:
    """Let freed memory be used again instead of being given back to the kernel with every large body.

    A body of 200 kB is above the threshold from which glibc maps fresh pages and unmaps them at once: for bodies of
    1 000 rows a sixth of a worker's CPU went into clearing pages. All threads share one heap, because they take turns
    anyway, and each heap keeps what it has; so does Arrow, whose own gives memory back after moments. Where there is no
    glibc, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 * _MIB)  # the most it takes
        mallopt(_TRIM_THRESHOLD, 256 * _MIB)
        mallopt(_TOP_PAD, 16 * _MIB)
        mallopt(_ARENA_MAX, 1)
