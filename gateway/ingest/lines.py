r"""Lines: a body in NDJSON, cut into lines, and what is wrong with a line that cannot be read.

One JSON object per line, in UTF-8; `\n` or `\r\n`; the last newline is optional; a byte order mark before the first
line and lines of blanks are skipped. A raw newline cannot be inside a JSON string, so cutting at newlines is exact.

A line that is not JSON, or is JSON but not an object, was not understood: a body of such lines only is refused. A line
whose *text* is broken (bytes that are not UTF-8, half a surrogate pair) or which is nested deeper than we read was
understood and cannot be stored: it is quarantined, also when it is the only one.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.core.errors import InvalidRequest, TooLarge

LINES_MAX: Final = 500_000
"""Lines in a body: what they become takes about 100 bytes of memory per line and column, however short they are."""

RECORD: Final = "$"
"""Stands for the column in the quarantine of a line that could not be read at all: the whole record."""

_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_is_object: Final = msgspec.json.Decoder(msgspec.defstruct("Anything", [])).decode


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a line has no values.

    Attributes:
        reason: a sentence.
        understood: it is a JSON object all the same.
    """

    reason: str
    understood: bool


def split(body: bytes, *, has_begin: bool = True) -> list[bytes]:
    """Return the lines of `body`, those of blanks included; without `has_begin` it is not the begin of what was sent.

    Raises:
        TooLarge: there are more than `LINES_MAX`.
    """
    if has_begin:
        body = body.removeprefix(_BOM)
    if len(body) > LINES_MAX and body.count(b"\n") > LINES_MAX:
        raise too_many_lines()
    lines = body.split(b"\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return lines


def too_many_lines() -> TooLarge:
    """Return the refusal of a body of more than `LINES_MAX` lines."""
    return TooLarge(f"The body has more than {LINES_MAX} lines; send fewer at once")


def split_json(body: bytes) -> list[bytes]:
    """Return the text of the one JSON object in `body`, or of the elements of an array.

    Raises:
        InvalidRequest: it is not JSON, or there is nothing in it.
        TooLarge: the array has more than `LINES_MAX` elements.
    """
    body = body.removeprefix(_BOM).strip()
    if not body:
        raise InvalidRequest("The body is empty: send a JSON object")
    if not body.startswith(b"["):
        return [body]
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from None
    if not items:
        raise InvalidRequest("The body is an empty array: send at least one JSON object")
    if len(items) > LINES_MAX:
        raise TooLarge(f"The body has more than {LINES_MAX} elements; send fewer at once")
    return [bytes(item) for item in items]


def is_blank(line: bytes) -> bool:
    """Say whether a line holds blanks only."""
    return not line.strip()


def is_utf8(data: bytes) -> bool:
    """Say whether `data` is valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def why_unreadable(line: bytes) -> Unreadable:
    """Return what is wrong with a line that is not UTF-8, or not a JSON object."""
    if not is_utf8(line):
        mended = line.decode(errors="replace").encode()
        return Unreadable("Invalid JSON: the line is not valid UTF-8", _complaint(mended) is None)
    complaint = _complaint(line) or _TOO_DEEP  # it was read just now, with less of the stack in use
    if complaint != _TOO_DEEP and _complaint(_SURROGATE.sub(rb"\\ufffd", line)) is None:
        return Unreadable("Invalid JSON: half of a surrogate pair in an escape", understood=True)
    return Unreadable(complaint, understood=complaint == _TOO_DEEP)


_TOO_DEEP: Final = "Invalid JSON: nested too deeply"


def _complaint(line: bytes) -> str | None:
    try:
        _is_object(line)
    except msgspec.ValidationError:
        return "Invalid JSON: the line is not an object"
    except msgspec.MsgspecError as error:
        return f"Invalid JSON: {error}".replace("JSON is malformed: ", "")
    except RecursionError:
        return _TOO_DEEP
    return None
