"""Names: what resources may be called, and how a name or a value is written in SQL.

Data sources and pipes share one set of names in a workspace; nodes and workspaces obey the same letters. Columns have
their own, wider rule in `columns`.

Source: Tinybird docs, API overview, "Reserved words"; `<name>_quarantine` belongs to the quarantine of `<name>`.
"""

import re
from typing import Final

from gateway.schema.errors import SchemaError
from gateway.schema.lexer import words

# A table name becomes a file name of at most 255 bytes, and ours may still get `_quarantine` and a version behind it.
NAME_CHARS_MAX: Final = 128

QUARANTINE_SUFFIX: Final = "_quarantine"

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")

RESERVED_WORDS: Final = words("""
    array bool boolean date date32 datetime datetime32 datetime64 decimal decimal32 decimal64 decimal128 decimal256
    enum enum8 enum16 fixedstring float32 float64 ipv4 ipv6 int8 int16 int32 int64 int128 int256 multipolygon point
    polygon ring string table uint8 uint16 uint32 uint64 uint128 uint256 uuid _temporary_and_external_tables add after
    all and anti any as asc asof between by case collate column columns cross cube custom_error day_diff default
    defined desc distinct else end enumerate_with_last error exists from full functions generaterandom global group
    having if ilike in inner insert interval into join left like limit limits max min not null numbers_mt on one or
    order outer prewhere public right sample select semi split_to_array sql_and sql_unescape system then tinybird to
    union using where with zeros_mt zip
    """)

_STRING_ESCAPES: Final = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
)


def check_resource_name(name: str, kind: str) -> None:
    """Raise unless `name` may be given to a `kind` ("Data Source", "Pipe", "Node", "Workspace").

    Raises:
        SchemaError: it is empty, too long, has other characters, or is reserved.
    """
    shown = name[:NAME_CHARS_MAX]
    if len(name) > NAME_CHARS_MAX:
        raise SchemaError(f"{kind} name '{shown}…' is too long: {len(name)} characters, the limit is {NAME_CHARS_MAX}")
    if not _NAME.fullmatch(name):
        raise SchemaError(
            f"{kind} name '{shown}' is not valid: it must start with a letter and contain only letters, digits and "
            "underscores"
        )
    if name.lower() in RESERVED_WORDS:
        raise SchemaError(f"{kind} name '{name}' is a reserved word, choose another name")
    if name.endswith(QUARANTINE_SUFFIX):
        raise SchemaError(
            f"{kind} name '{name}' is not valid: names ending in {QUARANTINE_SUFFIX} are reserved for quarantine tables"
        )


def quote_identifier(name: str) -> str:
    """Return `name` in backticks, as ClickHouse reads it back."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quote_string(value: str) -> str:
    """Return `value` as a ClickHouse string literal."""
    return "'" + value.translate(_STRING_ESCAPES) + "'"


def normalize_name(text: str) -> str:
    """Return `text` as a plain name: other characters become `_`, and a leading digit gets the prefix `c_`."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return "c_" + name if name[:1].isdigit() else name
