"""Sniff: what a file is, told by its first bytes; names and Content-Types lie."""

from enum import StrEnum
from typing import Final

import msgspec

_BOM: Final = b"\xef\xbb\xbf"
_is_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Format(StrEnum):
    """The formats of files that can be read."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


def sniff(head: bytes) -> Format:
    """Return the format of the file that begins with `head`, compression undone.

    What is not Parquet, and whose first line is not a JSON object (or the beginning of a long one), is CSV.
    Source: analyze.md §1.
    """
    if head.startswith((b"PAR1", b"PARE")):
        return Format.PARQUET
    lines = head.removeprefix(_BOM).lstrip().split(b"\n", 1)
    return Format.NDJSON if _begins_like_object(lines[0], is_whole=len(lines) > 1) else Format.CSV


def _begins_like_object(line: bytes, *, is_whole: bool) -> bool:
    if not line.startswith(b"{"):
        return False
    try:
        _is_json(line)
    except (msgspec.MsgspecError, RecursionError):
        # Cut off, or written on several lines: no field of a CSV begins so.
        return not is_whole or line[1:].lstrip()[:1] in {b'"', b"}", b""}
    return True
