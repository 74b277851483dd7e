"""Datafiles: a data source as a text file, read and written.

What is read here is a whole `.datasource` file; what is written can be read again and gives the same data source. The
lines are cut by `directives`; what they hold is parsed by the module of its kind, and an error is told with the line it
stands in the file.

Connector commands (`KAFKA_…`, `IMPORT_…`, `PG_…`) are kept as they are: who deploys the file accepts or refuses them.

Source: the wire contract, "`.datasource`"; it restates the parser of the published CLI. More is accepted than there:
MATERIALIZED columns, because the API takes them and what we write must be read again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.schema.columns import Schema, parse_schema
from gateway.schema.directives import (
    Directive,
    list_value,
    located,
    read_directives,
    text_value,
    written_block,
    written_item,
    written_value,
)
from gateway.schema.engines import Engine, parse_engine
from gateway.schema.errors import SchemaError
from gateway.schema.indexes import Index, parse_indexes
from gateway.schema.lexer import words

_ENGINE_FIELDS: Final = words(
    "PARTITION_KEY SORTING_KEY PRIMARY_KEY SAMPLING_KEY TTL SETTINGS VER IS_DELETED COLUMNS SIGN VERSION"
)
_LEGACY_FIELDS: Final = words("PARTITION_KEY SORTING_KEY PRIMARY_KEY SAMPLING_KEY TTL")
_CONNECTOR: Final = words(
    """
    KAFKA_CONNECTION_NAME KAFKA_TOPIC KAFKA_GROUP_ID KAFKA_AUTO_OFFSET_RESET KAFKA_STORE_RAW_VALUE KAFKA_STORE_HEADERS
    KAFKA_KEY_FORMAT KAFKA_VALUE_FORMAT IMPORT_CONNECTION_NAME IMPORT_BUCKET_URI IMPORT_SCHEDULE IMPORT_FORMAT
    IMPORT_FROM_TIMESTAMP IMPORT_TABLE_ARN IMPORT_EXPORT_BUCKET PG_CONNECTION_NAME PG_TABLE
    """
)
_IGNORED: Final = words(
    "VERSION IMPORT_SERVICE EXPORT_SERVICE IMPORT_EXTERNAL_DATASOURCE KAFKA_TARGET_PARTITIONS MAINTAINER"
)
_GONE: Final = words("SOURCE IMPORT_STRATEGY KAFKA_STORE_BINARY_HEADERS")
_BLOCKS: Final = words("DESCRIPTION SCHEMA INDEXES SHARED_WITH FORWARD_QUERY")
_COMMANDS: Final = (
    _BLOCKS
    | _LEGACY_FIELDS
    | _CONNECTOR
    | _IGNORED
    | _GONE
    | words("TOKEN TAGS ENGINE BACKFILL")
    | {f"ENGINE_{name}" for name in _ENGINE_FIELDS}
)

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class Datafile:
    """A data source as its datafile describes it.

    Attributes:
        tokens: name and permission, READ or APPEND.
        tags: as listed; an entry with `=` is a key and a value.
        connector: command and value of connector lines, in lower case, in order.
        backfill: "skip" or "".
        version: of a Classic file; not written back.
        warnings: sentences for who deploys it.
    """

    schema: Schema
    engine: Engine
    description: str = ""
    indexes: tuple[Index, ...] = ()
    tokens: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()
    forward_query: str = ""
    backfill: str = ""
    connector: tuple[tuple[str, str], ...] = ()
    version: str = field(default="", compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def ttl(self) -> str:
        """The engine's TTL, "" when none."""
        return self.engine.ttl


def parse_datafile(text: str) -> Datafile:
    """Return what a `.datasource` file says.

    Raises:
        SchemaError: with `at <line>:<position>` in its sentence.
    """
    directives = read_directives(text, _COMMANDS, "datasource")
    for directive in directives:
        _check_form(directive)
    once = _once(directives)
    if "SCHEMA" not in once:
        raise SchemaError("SCHEMA is mandatory")
    schema = _in_block(once["SCHEMA"], lambda block: parse_schema(block, indexes="refuse"))
    indexes = once.get("INDEXES")
    return Datafile(
        schema,
        _engine(once, schema),
        description=text_value(once.get("DESCRIPTION")),
        indexes=_in_block(indexes, lambda block: parse_indexes(block, schema)) if indexes else (),
        tokens=tuple(_token(directive) for directive in directives if directive.name == "TOKEN"),
        tags=list_value(once.get("TAGS")),
        shared_with=list_value(once.get("SHARED_WITH")),
        forward_query=text_value(once.get("FORWARD_QUERY")),
        backfill=_backfill(once.get("BACKFILL")),
        connector=tuple((item.name.lower(), item.value) for item in directives if item.name in _CONNECTOR),
        version=once["VERSION"].value if "VERSION" in once else "",
        warnings=tuple(
            f"{item.name} has been deprecated and will be ignored." for item in directives if item.name in _IGNORED
        ),
    )


def render_datafile(datafile: Datafile) -> str:
    """Return the text of a `.datasource` file that gives `datafile` back.

    Raises:
        SchemaError: a name or value cannot be written on one line.
    """
    lines: list[str] = []
    lines += written_block("DESCRIPTION", datafile.description.splitlines())
    lines += [f"TOKEN {written_value(name, is_word=True)} {permission}" for name, permission in datafile.tokens]
    lines += [f"TAGS {written_value(', '.join(written_item(tag) for tag in datafile.tags))}"] if datafile.tags else []
    lines += [""] if lines and lines[-1] else []
    columns = [column.sql_schema() for column in datafile.schema.columns]
    lines += written_block("SCHEMA", [*(column + "," for column in columns[:-1]), columns[-1]])
    lines += written_block("INDEXES", [index.datafile_line() for index in datafile.indexes])
    lines += [f"{key.upper()} {written_value(value)}" for key, value in datafile.engine.options().items()]
    lines += [f"{key.upper()} {written_value(value)}" for key, value in datafile.connector]
    lines += [f"BACKFILL {datafile.backfill}"] if datafile.backfill else []
    lines += (
        ["", *written_block("SHARED_WITH", [written_item(name) for name in datafile.shared_with])]
        if datafile.shared_with
        else []
    )
    lines += (
        ["", *written_block("FORWARD_QUERY", datafile.forward_query.splitlines())] if datafile.forward_query else []
    )
    return "\n".join(lines).rstrip("\n") + "\n"


def can_write_token(name: str) -> bool:
    """Say whether a TOKEN line can have this name; one with every kind of quote in it cannot be written."""
    try:
        written_value(name, is_word=True)
    except SchemaError:
        return False
    return True


def _check_form(directive: Directive) -> None:
    if directive.name in _GONE:
        raise located(f"{directive.name} is not supported any more", directive.line)
    if directive.block is not None and directive.name not in _BLOCKS:
        raise located(f"{directive.name} does not support multiline arguments", directive.line)
    if directive.block is None and directive.name in {"SCHEMA", "INDEXES", "FORWARD_QUERY"}:
        raise located(f"{directive.name} must be multiline (use >)", directive.line, excerpt=directive.rest[:120])


def _once(directives: list[Directive]) -> dict[str, Directive]:
    """Return the directives by name; legacy spellings under their new name.

    Raises:
        SchemaError: one that may stand once stands twice.
    """
    found: dict[str, Directive] = {}
    for directive in directives:
        name = f"ENGINE_{directive.name}" if directive.name in _LEGACY_FIELDS else directive.name
        if name in found and name != "TOKEN":
            raise located(f"{directive.name} is already defined in line {found[name].line}", directive.line)
        found[name] = directive
    return found


def _in_block(directive: Directive, parse: Callable[[str], _Parsed]) -> _Parsed:
    try:
        return parse(directive.block or "")
    except SchemaError as error:
        line = directive.block_line + max(error.line, 1) - 1
        raise located(error.reason, line, max(error.position, 1), error.excerpt) from None


def _engine(once: dict[str, Directive], schema: Schema) -> Engine:
    options = {
        name.lower(): item.value for name, item in once.items() if name == "ENGINE" or name.startswith("ENGINE_")
    }
    try:
        return parse_engine(options, schema)
    except SchemaError as error:
        directive = once.get(error.option.upper()) or once.get("ENGINE") or once["SCHEMA"]
        raise located(error.reason, directive.line, excerpt=error.excerpt) from None


def _token(directive: Directive) -> tuple[str, str]:
    if len(directive.words) != 2:
        raise located('TOKEN takes two arguments, TOKEN "name" READ or APPEND', directive.line)
    name, permission = directive.words
    if permission.upper() not in {"READ", "APPEND"}:
        reason = f"Invalid permission: {permission[:64]}. Only READ and APPEND are supported"
        raise located(reason, directive.line)
    return name, permission.upper()


def _backfill(directive: Directive | None) -> str:
    if directive is None:
        return ""
    if directive.value.lower() != "skip":
        raise located("BACKFILL takes only the value skip", directive.line)
    return "skip"
