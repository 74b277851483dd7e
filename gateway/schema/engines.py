"""Engines: which table engine keeps a data source, and its clauses.

    engine (any case)              parameters                     sorting key
    MergeTree                                                     tuple() if absent
    AggregatingMergeTree                                          tuple() if absent
    SummingMergeTree               columns (optional)             tuple() if absent
    ReplacingMergeTree             ver, is_deleted (optional)     required, not tuple(), without ver
    CollapsingMergeTree            sign                           required
    VersionedCollapsingMergeTree   sign, version                  tuple() if absent
    Null                                                          none, and no other clause

Others are not accepted; replicated variants are for the operator's settings, not for a client. Where the contract
leaves the sorting key open, an engine given by name without a key gets `tuple()`, as Tinybird Local does; without an
`engine` option at all the documented rule of `default_sorting_key` holds.

Texts kept in an `Engine` have passed the grammar of their kind, so `clause` concatenates.

Source: Tinybird docs, "Datasource files" and "Engines"; error texts of the published datafile library.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.schema.columns import Column, Schema
from gateway.schema.datatype import DATES, FLOATS, INTEGERS, NUMBERS, STRINGS
from gateway.schema.errors import SchemaError
from gateway.schema.expressions import Expression, expect_columns, parse_expressions
from gateway.schema.lexer import words
from gateway.schema.names import quote_identifier
from gateway.schema.settings import SettingValue, parse_settings, render_settings
from gateway.schema.ttl import parse_ttl

TUPLE: Final = "tuple()"

_MERGE_TREE: Final = words("partition_key sorting_key primary_key sampling_key ttl settings")
_KEYS: Final = ("partition_key", "sorting_key", "primary_key", "sampling_key")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one engine takes."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    needs_sorting_key: bool = False
    clauses: frozenset[str] = _MERGE_TREE


_KINDS: Final = {
    "MergeTree": _Kind(),
    "ReplacingMergeTree": _Kind(optional=("ver", "is_deleted"), needs_sorting_key=True),
    "SummingMergeTree": _Kind(optional=("columns",)),
    "AggregatingMergeTree": _Kind(),
    "CollapsingMergeTree": _Kind(required=("sign",), needs_sorting_key=True),
    "VersionedCollapsingMergeTree": _Kind(required=("sign", "version")),
    "Null": _Kind(clauses=frozenset()),
}

_VERSIONS: Final = INTEGERS | FLOATS | DATES | {"Bool"}
_PARAMETER_TYPES: Final = {
    "sign": frozenset({"Int8"}),
    "is_deleted": frozenset({"UInt8", "Bool"}),
    "ver": _VERSIONS,
    "version": _VERSIONS,
}


@dataclass(frozen=True, slots=True)
class Engine:
    """A table engine; every field is text as the client gave it, "" when absent."""

    name: str
    partition_key: str = ""
    sorting_key: str = ""
    primary_key: str = ""
    sampling_key: str = ""
    ttl: str = ""
    settings: str = ""
    ver: str = ""
    is_deleted: str = ""
    sign: str = ""
    version: str = ""
    columns: str = ""

    def clause(
        self, schema: Schema, extra_settings: Mapping[str, SettingValue] | None = None, replica: str = ""
    ) -> str:
        """Return `ENGINE = …` with all its clauses.

        Args:
            schema: of the data source; gives the sorting key when this engine has none.
            extra_settings: settings of ours; they win over the client's. Null takes none.
            replica: arguments, SQL, that make it Replicated; "" for an engine that is not. Null takes none.
        """
        key = self.sorting_key or default_sorting_key(schema)
        return "ENGINE = " + self._render(key, extra_settings or {}, replica)

    @property
    def full(self) -> str:
        """The engine as the wire's `engine_full` shows it, without settings of ours."""
        return self._render(self.sorting_key or TUPLE, {})

    def options(self) -> dict[str, str]:
        """Return the wire's options that give this engine back: `engine`, `engine_sorting_key`, …"""
        fields = (*_KEYS, "ttl", "settings", "ver", "is_deleted", "sign", "version", "columns")
        given = {f"engine_{field}": str(getattr(self, field)) for field in fields}
        return {"engine": self.name, **{option: value for option, value in given.items() if value}}

    def wire_list(self) -> dict[str, str]:
        """Return the engine as a list of data sources shows it: exactly four keys."""
        return {
            "engine": self.name,
            "engine_sorting_key": self.sorting_key,
            "engine_partition_key": self.partition_key,
            "engine_primary_key": self.primary_key or self.sorting_key,
        }

    def wire_detail(self) -> dict[str, str]:
        """Return the engine as the detail of one data source shows it; what is empty is absent."""
        shown = {key.removeprefix("engine_"): value for key, value in self.options().items() if key != "engine"}
        if self.primary_key == self.sorting_key:
            shown.pop("primary_key", None)
        return {"engine": self.name, "engine_full": self.full, **shown}

    def _render(self, sorting_key: str, extra_settings: Mapping[str, SettingValue], replica: str = "") -> str:
        if not _KINDS[self.name].clauses:
            return self.name
        given = [self.ver, self.is_deleted, self.sign, self.version]
        names = ", ".join(quote_identifier(name) for name in given if name)
        if self.columns:
            names = f"({', '.join(quote_identifier(name) for name in _names(self.columns))})"
        arguments = ", ".join(text for text in (replica, names) if text)
        name = f"Replicated{self.name}" if replica else self.name
        head = f"{name}({arguments})" if arguments else name
        settings = {**parse_settings(self.settings), **extra_settings} if self.settings else extra_settings
        clauses = (
            ("PARTITION BY", _wrapped(self.partition_key)),
            ("ORDER BY", _wrapped(sorting_key)),
            ("PRIMARY KEY", _wrapped(self.primary_key)),
            ("SAMPLE BY", _wrapped(self.sampling_key)),
            ("TTL", self.ttl),
            ("SETTINGS", render_settings(settings)),
        )
        return " ".join([head, *(f"{word} {value}" for word, value in clauses if value)])


def parse_engine(options: Mapping[str, str], schema: Schema) -> Engine:
    """Return the engine that `options` ask for.

    Args:
        options: `engine`, `engine_sorting_key`, …; other keys and empty values are ignored.
        schema: every column an option names must be in it.

    Raises:
        SchemaError: an engine, an option or a value that is not accepted; its `option` says which.
    """
    given = {key: value.strip() for key, value in options.items() if key.startswith("engine_") and value.strip()}
    wanted = options.get("engine", "").strip().strip("\"'")
    name = _engine_name(wanted or "MergeTree")
    kind = _KINDS[name]
    fields = {key.removeprefix("engine_"): value for key, value in given.items()}
    for field in fields:
        if field not in kind.clauses and field not in kind.required + kind.optional:
            raise SchemaError(f"engine_{field} is not a valid option", option=f"engine_{field}")
    values = {field: _checked(field, value, schema) for field, value in fields.items()}
    _check_required(kind, values)
    if kind.clauses and "sorting_key" not in values:
        values["sorting_key"] = TUPLE if wanted else default_sorting_key(schema)
    return Engine(name, **values)


def default_sorting_key(schema: Schema) -> str:
    """Return the first date column, else the first number, else the first string, else `tuple()`.

    A nullable column cannot be a key, so it is passed over.
    """
    candidates = [column for column in schema.columns if not column.type.is_nullable]
    for family in (DATES, NUMBERS, STRINGS):
        for column in candidates:
            if column.type.inner.name in family:
                return column.name if _reads_column(column.name) else quote_identifier(column.name)
    return TUPLE


def _reads_column(text: str) -> bool:
    """Say whether `text`, bare, is a column and nothing else to ClickHouse: not `from`, not `null`."""
    try:
        return len(parse_expressions(text, "a sorting key")[0].columns) == 1
    except SchemaError:
        return False


def _engine_name(wanted: str) -> str:
    name = next((name for name in _KINDS if name.lower() == wanted.lower()), None)
    if name is None:
        raise SchemaError(
            f"Engine {wanted[:64]} is not supported, supported engines include: {', '.join(_KINDS)}", option="engine"
        )
    return name


def _checked(field: str, value: str, schema: Schema) -> str:
    """Return `value` in the form it is kept in.

    Raises:
        SchemaError: it is not a value for the option `engine_<field>`.
    """
    option = f"engine_{field}"
    try:
        if field in _KEYS:
            return _checked_key(field, value, schema)
        if field == "ttl":
            return parse_ttl(value, schema)
        if field == "settings":
            return render_settings(parse_settings(value))
        if field == "columns":
            return ", ".join(_checked_parameter(field, name, schema) for name in _names(value))
        return _checked_parameter(field, value.strip("`"), schema)
    except SchemaError as error:
        raise SchemaError(
            error.reason, excerpt=error.excerpt, line=error.line, position=error.position, option=option
        ) from None


def _checked_parameter(field: str, name: str, schema: Schema) -> str:
    subject = f"Invalid value '{name[:64]}' for parameter 'engine_{field}'"
    column = schema.column(name)
    if column is None:
        raise SchemaError(f"{subject}, reason: '{name[:64]}' column is not present in schema")
    allowed = _PARAMETER_TYPES.get(field)
    if allowed is not None and column.type.name not in allowed:
        raise SchemaError(f"{subject}, reason: a column of type {column.type.text} cannot be used there")
    return name


def _checked_key(field: str, value: str, schema: Schema) -> str:
    if "".join(value.split()) in {"()", TUPLE, f"({TUPLE})"}:
        return TUPLE
    expressions = parse_expressions(value, f"engine_{field}")
    expect_columns(expressions, schema.names, f"Invalid value '{value[:64]}' for option 'engine_{field}'")
    if field == "sorting_key":
        _check_sorting_key(expressions, schema)
    return ", ".join(expression.text for expression in expressions)


def _check_sorting_key(expressions: tuple[Expression, ...], schema: Schema) -> None:
    for column in _bare_columns(expressions, schema):
        if column.type.is_nullable:
            raise SchemaError(
                f"Sorting key contains nullable column '{column.name}'. Use a column that is not Nullable, or an "
                f"expression such as ifNull({column.name}, …)"
            )
        if column.type.name == "AggregateFunction":
            raise SchemaError(f"Sorting key contains column '{column.name}' of type {column.type.text}")


def _bare_columns(expressions: tuple[Expression, ...], schema: Schema) -> list[Column]:
    """Return the columns that stand in a key by themselves, inside parentheses or not."""
    texts = [part.strip("()` ") for expression in expressions for part in expression.text.split(",")]
    return [column for text in texts if (column := schema.column(text))]


def _check_required(kind: _Kind, values: Mapping[str, str]) -> None:
    for parameter in kind.required:
        if parameter not in values:
            raise SchemaError(f"Missing required parameter '{parameter}'", option="engine")
    if "is_deleted" in values and "ver" not in values:
        raise SchemaError("Missing required parameter 'ver'", option="engine_is_deleted")
    if not kind.needs_sorting_key:
        return
    key = values.get("sorting_key")
    if key is None:
        raise SchemaError("Missing required option 'sorting_key'", option="engine")
    reason = ""
    if key == TUPLE:
        reason = "'tuple()' is not a valid sorting key"
    elif values.get("ver") in [part.strip("()` ") for part in key.split(",")]:
        reason = f"the sorting key cannot contain the version column '{values['ver']}'"
    if reason:
        raise SchemaError(
            f"Invalid value '{key[:64]}' for option 'engine_sorting_key', reason: {reason}", option="engine_sorting_key"
        )


def _names(text: str) -> list[str]:
    return [name.strip().strip("`") for name in text.strip().removeprefix("(").removesuffix(")").split(",")]


def _wrapped(key: str) -> str:
    return f"({key})" if key and key != TUPLE else key
