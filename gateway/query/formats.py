"""Formats: what an answer may look like, and the Content-Type that says so.

Source: the list Tinybird's client accepts in a FORMAT clause. The types other than JSON, CSV and NDJSON are assumed.
"""

from typing import Final

from gateway.core.errors import InvalidRequest

_JSON: Final = "application/json; charset=utf-8"
_LINES: Final = "application/x-ndjson"
_CSV: Final = "text/csv; charset=utf-8"
_TSV: Final = "text/tab-separated-values; charset=utf-8"
_TEXT: Final = "text/plain"
_BYTES: Final = "application/octet-stream"

_CONTENT_TYPES: Final = {
    "JSON": _JSON,
    "JSONStrings": _JSON,
    "JSONCompact": _JSON,
    "JSONEachRow": _LINES,
    "JSONCompactEachRow": _LINES,
    "JSONCompactEachRowWithNamesAndTypes": _LINES,
    "JSONStringsEachRowWithProgress": _LINES,
    "CSV": _CSV,
    "CSVWithNames": _CSV,
    "TSV": _TSV,
    "TSVWithNames": _TSV,
    "TabSeparated": _TSV,
    "TabSeparatedWithNamesAndTypes": _TSV,
    "Prometheus": "text/plain; version=0.0.4",
    "PrettyCompact": _TEXT,
    "Markdown": _TEXT,
    "Parquet": _BYTES,
    "Native": _BYTES,
    "RowBinaryWithNamesAndTypes": _BYTES,
    "ODBCDriver2": _BYTES,
}

FORMATS: Final = frozenset(_CONTENT_TYPES)

_SPELLINGS: Final = {name.lower(): name for name in FORMATS}


def canonical_format(name: str) -> str:
    """Return `name`, of whatever case, as the engine spells it.

    Raises:
        InvalidRequest: answers cannot have this format.
    """
    spelled = _SPELLINGS.get(name.lower())
    if spelled is None:
        raise InvalidRequest(f"Unknown format '{name[:40]}'. The formats are {', '.join(sorted(FORMATS))}")
    return spelled


def content_type(output_format: str) -> str:
    """Return the Content-Type of an answer in `output_format`, spelled as the engine does."""
    return _CONTENT_TYPES[output_format]
