"""Target: what stands between the method and HTTP/1.1 in a request: a path and parameters.

Clients build their URLs by hand, so a trailing slash, a doubled one and unknown parameters are fine. Proxies may send
the whole URL; its scheme and host are skipped. A producer sends the same target again and again, so the last ones are
kept parsed.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, unquote

from gateway.core.errors import InvalidRequest

_PARAMETERS_MAX: Final = 1000
_KEPT_LENGTH_MAX: Final = 1024
_ORIGIN: Final = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})


class Params:
    """Parameters in the order they came; a name may come more than once."""

    __slots__ = ("_first", "pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = tuple(pairs)
        self._first: dict[str, str] = {}
        for name, value in self.pairs:
            self._first.setdefault(name, value)

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of `name`."""
        return self._first.get(name, default)

    def all(self, name: str) -> list[str]:
        """Return every value of `name`."""
        return [value for key, value in self.pairs if key == name]

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean, spelled in any case.

        Raises:
            InvalidRequest: it is neither true nor false.
        """
        value = self._first.get(name)
        if value is None:
            return default
        word = value.strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise InvalidRequest(f"The '{name}' parameter must be true or false")

    def has(self, name: str) -> bool:
        """Was `name` sent?"""
        return name in self._first

    def with_defaults(self, other: "Params") -> "Params":
        """Return these parameters and those of `other`; these win."""
        return Params(self.pairs + other.pairs)

    def prefixed(self, prefix: str) -> dict[str, str]:
        """Return the parameters whose names begin with `prefix`, the names whole."""
        return {name: value for name, value in self._first.items() if name.startswith(prefix)}


class Target:
    """A parsed target: `path` decoded, without doubled or trailing slashes; `params`."""

    __slots__ = ("params", "path", "segments")

    def __init__(self, raw: str) -> None:
        if found := _ORIGIN.match(raw):
            raw = raw[found.end() :]
        path, _, query = raw.partition("?")
        self.segments = tuple(unquote(part) for part in path.split("/") if part)
        self.path = "/" + "/".join(self.segments)
        self.params = Params(parse_form(query))


def parse_form(text: str) -> list[tuple[str, str]]:
    """Return the pairs of a query string or a form body.

    Raises:
        InvalidRequest: more pairs than anyone needs.
    """
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
    except ValueError as error:
        raise InvalidRequest(f"A request may have at most {_PARAMETERS_MAX} parameters") from error


def parse_target(raw: str) -> Target:
    """Return the parsed target of a request line."""
    return _kept(raw) if len(raw) <= _KEPT_LENGTH_MAX else Target(raw)


_kept = lru_cache(maxsize=2048)(Target)
