"""Errors of the server, by code."""

import re
from typing import Any, Final

_CODE: Final = re.compile(r"\bCode:\s*(\d+)")
_BEFORE: Final = re.compile(r"^.*?DB::Exception: (?:Code: \d+\. DB::Exception: )?", re.DOTALL)
_AFTER: Final = re.compile(r"\s*(\(version [^()]*(\([^()]*\))?[^()]*\))?\s*(\(for url [^()]*\))?\s*$")
_MESSAGE_LENGTH_MAX: Final = 2000

# How one server of a cluster tells what another one said.
_SERVER: Final = re.compile(
    r"Received from ([^\s,]+:\d+).{0,100}?DB::Exception: "
    r"|There was an error on \[([^\]]+)\]: (?:Code: \d+\. )?(?:DB::Exception: )?"
)

PARTLY: Final = "a shard refused its part of an insert"
"""What the message begins with if other shards may have theirs."""


class ServerError(Exception):
    """ClickHouse refused, with its `code`; or did not answer, then `code` is None.

    Attributes:
        code: see above.
        server: of a cluster: which other server said it; "" if it was the one that was asked.
    """

    def __init__(self, message: str, code: int | None, server: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.server = server

    @classmethod
    def of(cls, error: Any) -> "ServerError":
        """Return the driver's `error` in our words: the server's sentence alone, and its code."""
        text = str(error)
        code = getattr(error, "code", None)
        return cls.told(text, code if isinstance(code, int) else None)

    @classmethod
    def told(cls, text: str, code: int | None) -> "ServerError":
        """Return the error the server told of in `text`: its sentence alone, and its code, perhaps from there."""
        if code is None:
            found = _CODE.search(text)
            code = int(found.group(1)) if found else None
        said = _AFTER.sub("", _BEFORE.sub("", text))
        other = _SERVER.match(said)
        server = (other[1] or other[2]) if other else ""
        return cls(said[other.end() if other else 0 :][:_MESSAGE_LENGTH_MAX], code, server)
