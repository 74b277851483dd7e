"""Units: sizes and durations as people write them, read and written.

    size       64MiB  10MB  1.5GiB  4096      KiB is 1024, kB is 1000; a plain number is bytes
    duration   500ms  1s  2.5  5m  1h         a plain number is seconds
    boolean    on off  true false  yes no  1 0

Pure. Every `parse_…` raises ValueError with the end of a sentence that begins with the value.
"""

import re
from typing import Final

_SIZES: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZES_FOLDED: Final = {unit.lower(): size for unit, size in _SIZES.items()}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_WORDS: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


def parse_size(text: str) -> int:
    """Return the bytes that `text` means.

    Raises:
        ValueError: it is not a size, or not a whole number of bytes.
    """
    match = _QUANTITY.fullmatch(text.strip())
    unit = _SIZES_FOLDED.get(match[2].lower() or "b") if match else None
    if match is None or unit is None:
        raise ValueError('is not a size, such as "64MiB", "10MB" or a number of bytes')
    size = float(match[1]) * unit if "." in match[1] else int(match[1]) * unit
    if size != int(size):
        raise ValueError("is not a whole number of bytes")
    return int(size)


def parse_duration(text: str) -> float:
    """Return the seconds that `text` means.

    Raises:
        ValueError: it is not a duration.
    """
    match = _QUANTITY.fullmatch(text.strip())
    unit = _SECONDS.get(match[2].lower() or "s") if match else None
    if match is None or unit is None:
        raise ValueError('is not a duration, such as "500ms", "1s", "5m" or a number of seconds')
    return round(float(match[1]) * unit, 9)  # 0.29, not 0.29000000000000004


def parse_boolean(text: str) -> bool:
    """Return whether `text` says on.

    Raises:
        ValueError: it says neither on nor off.
    """
    value = _WORDS.get(text.strip().lower())
    if value is None:
        raise ValueError("is neither on nor off")
    return value


def format_size(size_bytes: int) -> str:
    """Return `size_bytes` in the largest unit that divides it, so that `parse_size` gives it back."""
    fitting = [(size, unit) for unit, size in _SIZES.items() if size_bytes and size_bytes % size == 0]
    size, unit = max(fitting, default=(1, "B"))
    return f"{size_bytes // size}{unit}" if size > 1 else str(size_bytes)


def format_duration(seconds: float) -> str:
    """Return `seconds` with its unit: seconds, or milliseconds below one second."""
    return f"{seconds * 1000:.9g}ms" if 0 < seconds < 1 else f"{seconds:.12g}s"
