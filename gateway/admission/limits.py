"""Limits: what may be limited, and how a person writes it. Pure.

    workspace.requests=1000, datasource.rows=50000, token.bytes=10MB

What is counted stands before the dot, of what after it, and the number is a second's.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from gateway.core.units import parse_size

KINDS: Final = ("workspace", "token", "datasource", "endpoint")
UNITS: Final = ("requests", "rows", "bytes")

NAMES: Final = tuple(f"{kind}.{unit}" for kind in KINDS for unit in UNITS)
"""What may be limited: the keys of a workspace's own limits, too."""


class Limit(NamedTuple):
    """At most `per_second` of `unit` for each of `kind`."""

    kind: str
    unit: str
    per_second: float


def parse_limits(text: str) -> dict[str, int]:
    """Return the limits that a comma-separated `text` means, by their names; those of 0, which is none, are left out.

    Raises:
        ValueError: an entry is no limit; the message is the end of a sentence that begins with the value.
    """
    found: dict[str, int] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, equals, number = (part.strip() for part in entry.partition("="))
        if not equals or name not in NAMES:
            raise ValueError(f'has an entry "{entry}" that is no limit: write workspace.requests=1000; {_CHOICE}')
        if name in found:
            raise ValueError(f'says "{name}" twice')
        try:
            found[name] = read_number(name, number)
        except ValueError as error:
            raise ValueError(f'has "{name}={number}", which {error}') from error
    return {name: number for name, number in found.items() if number}


def read_number(name: str, text: str) -> int:
    """Return what a person wrote for the limit `name`; 0 is no limit.

    Raises:
        ValueError: it is no number; the message is the end of a sentence that begins with the value.
    """
    if name.endswith(".bytes"):
        return parse_size(text)
    if not (text.isascii() and text.isdigit()):
        raise ValueError("is not a whole number")
    return int(text)


def of_kind(kind: str, limits: Mapping[str, float]) -> list[Limit]:
    """Return those of `limits` that are for each of `kind`."""
    found = ((unit, limits.get(f"{kind}.{unit}", 0)) for unit in UNITS)
    return [Limit(kind, unit, number) for unit, number in found if number > 0]


def key_of(*parts: str) -> int:
    """Return the key of a bucket: the same in every process, another for other parts."""
    digest = blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


_CHOICE: Final = f"it is {', '.join(KINDS)}, a dot, and {', '.join(UNITS)}"
