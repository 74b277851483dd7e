"""Errors of the server, by code."""

import re
from typing import Any, Final

_CODE: Final = re.compile(r"\bCode:\s*(\d+)")
_BEFORE: Final = re.compile(r"^.*?DB::Exception: (?:Code: \d+\. DB::Exception: )?", re.DOTALL)
_AFTER: Final = re.compile(r"\s*(\(version [^()]*(\([^()]*\))?[^()]*\))?\s*(\(for url [^()]*\))?\s*$")
_MESSAGE_LENGTH_MAX: Final = 2000

PARTLY: Final = "a shard refused its part of an insert"
"""What the message begins with if other shards may have theirs."""


class ServerError(Exception):
    """ClickHouse refused, with its `code`; or did not answer, then `code` is None."""

    def __init__(self, message: str, code: int | None) -> None:
        super().__init__(message)
        self.code = code

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
        return cls(_AFTER.sub("", _BEFORE.sub("", text))[:_MESSAGE_LENGTH_MAX], code)
