"""Columns: the schema of a data source, from the text a client sends to the DDL and JSON we answer with.

    schema   := column ("," column)* [","]
    column   := name type { `json:path` | DEFAULT expr | MATERIALIZED expr | CODEC(…) }
    name     := letters digits . _ * < > + - '   or anything printable in `backticks`

The clauses come in any order, the path at most once, but no DEFAULT behind CODEC: the superset of the two published
parsers. `-- …` is a comment. `INDEX …` entries are skipped (the API sends them separately) or refused (datafiles).

What is kept is normal: types in their one spelling, blanks folded, `DEFAULT NULL` of a nullable column dropped. It is
printed back in the order the wire knows: name, type, path, DEFAULT, CODEC. Every text kept here has passed the grammar
of its kind, so `ddl` concatenates.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gateway.schema.codecs import read_codec
from gateway.schema.datatype import GEO
from gateway.schema.errors import SchemaError
from gateway.schema.expressions import Expression, check_columns, read_expression
from gateway.schema.jsonpath import JsonPath, parse_jsonpath
from gateway.schema.lexer import Scanner, Token, words
from gateway.schema.names import normalize_name, quote_identifier
from gateway.schema.types import DataType, read_type

COLUMNS_MAX: Final = 500
COLUMN_NAME_CHARS_MAX: Final = 256

CREATE_SETTINGS: Final = {
    # `Nested(…)` is one column, not one array per element: the schema and the table must have the same columns.
    "flatten_nested": 0,
    # LowCardinality(UInt8) and FixedString(300) are legal; that they are seldom wise is the client's to judge.
    "allow_suspicious_low_cardinality_types": 1,
    "allow_suspicious_fixed_string_types": 1,
}
"""Settings that CREATE and ALTER must run with, for the table to get the types the schema says."""

_JSON_PREFIX: Final = "json:"

# Types that are no Array and still can hold what a path with [:] yields: as text, as a shape, as elements.
_TAKES_ARRAYS: Final = GEO | words("String Variant Dynamic Nested SimpleAggregateFunction AggregateFunction")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a data source.

    Attributes:
        name: as the client spells it, without quotes.
        type: as stored, Nullable included.
        jsonpath: where its value is in an event; None if it has none.
        default_kind: "", "DEFAULT" or "MATERIALIZED".
        default_expression: "" when none.
        codec: "CODEC(ZSTD(1))", or "".
    """

    name: str
    type: DataType
    jsonpath: JsonPath | None = None
    default_kind: str = ""
    default_expression: str = ""
    codec: str = ""

    @property
    def nullable(self) -> bool:
        """Whether the type is Nullable(T); LowCardinality(Nullable(T)) is not, on this wire."""
        return self.type.name == "Nullable"

    @property
    def default_value(self) -> str | None:
        """The default with its keyword, `DEFAULT now()`, or None."""
        return f"{self.default_kind} {self.default_expression}" if self.default_kind else None

    def ddl(self) -> str:
        """Return the column as it stands in CREATE TABLE: `name` Type DEFAULT … CODEC(…)."""
        return " ".join(filter(None, (quote_identifier(self.name), self.type.text, self.default_value, self.codec)))

    def sql_schema(self) -> str:
        """Return the column as it stands in a schema: with its path."""
        path = f"`{_JSON_PREFIX}{self.jsonpath.text}`" if self.jsonpath else None
        parts = (quote_identifier(self.name), self.type.text, path, self.default_value, self.codec)
        return " ".join(filter(None, parts))

    def wire(self, *, detail: bool) -> dict[str, Any]:
        """Return the column as JSON: seven keys in a list, and `auto` in the detail of one data source."""
        shown = {
            "name": self.name,
            "type": self.type.args[0].text if self.nullable else self.type.text,
            "codec": self.codec or None,
            "default_value": self.default_value,
            "jsonpath": self.jsonpath.text if self.jsonpath else None,
            "nullable": self.nullable,
            "normalized_name": normalize_name(self.name),
        }
        return {**shown, "auto": False} if detail else shown


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a data source, in order; names are unique."""

    columns: tuple[Column, ...]

    def column(self, name: str) -> Column | None:
        """Return the column called `name`, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> frozenset[str]:
        """The names of all columns."""
        return frozenset(column.name for column in self.columns)

    @property
    def has_jsonpaths(self) -> bool:
        """Whether any column is filled through a path: then the data source takes NDJSON and Parquet."""
        return any(column.jsonpath for column in self.columns)

    def ddl(self, more: Iterable[str] = ()) -> str:
        """Return what stands between the parentheses of CREATE TABLE: the columns, and `more` (index clauses)."""
        return ", ".join([*(column.ddl() for column in self.columns), *more])

    def sql_schema(self) -> str:
        """Return the schema in the form clients compare with their datafile."""
        return ", ".join(column.sql_schema() for column in self.columns)

    def wire_columns(self, detail: bool = False) -> list[dict[str, Any]]:
        """Return the columns as JSON; see `Column.wire`."""
        return [column.wire(detail=detail) for column in self.columns]


def parse_schema(text: str, *, indexes: str = "skip") -> Schema:
    """Return the schema `text` spells.

    Args:
        text: see the grammar above.
        indexes: what to do with an `INDEX …` entry: "skip" or "refuse".

    Raises:
        SchemaError: it breaks the grammar, a limit, or a rule about one column or all.
    """
    scanner = Scanner(text)
    columns: list[Column] = []
    read: list[tuple[Token, Expression]] = []
    while scanner.token.kind != "end":
        if _at_index(scanner):
            if indexes == "refuse":
                raise scanner.fail("Forbidden INDEX definition")
            _skip_entry(scanner)
        else:
            _add(columns, _Entry(scanner), read)
        if not scanner.accept(","):
            scanner.expect_end()
    if not columns:
        raise SchemaError("The schema has no columns")
    names = frozenset(column.name for column in columns)
    for token, expression in read:
        if missing := check_columns((expression,), names):
            raise scanner.fail(f"The default reads '{missing}', which is not a column of the schema", token)
    return Schema(tuple(columns))


def _add(columns: list[Column], entry: "_Entry", read: list[tuple[Token, Expression]]) -> None:
    column = entry.column()
    if any(other.name == column.name for other in columns):
        raise entry.fail(f"Column '{column.name}' is defined twice")
    if len(columns) == COLUMNS_MAX:
        raise entry.fail(f"A data source has at most {COLUMNS_MAX} columns")
    columns.append(column)
    if entry.default is not None:
        read.append((entry.token, entry.default))


class _Entry:
    """One column while it is read."""

    def __init__(self, scanner: Scanner) -> None:
        self.token = scanner.token
        self.default: Expression | None = None
        self._scanner = scanner
        self._path: JsonPath | None = None
        self._kind = ""
        self._codec = ""

    def fail(self, reason: str) -> SchemaError:
        """Return an error that points at the name."""
        return self._scanner.fail(reason, self.token)

    def column(self) -> Column:
        """Read the column."""
        name = self._name()
        if self._scanner.at("default", "materialized"):
            raise self._scanner.fail(f"Column '{name}' needs a type")
        kind = read_type(self._scanner)
        while self._clause():
            pass
        self._check_end()
        if self.default is not None and self.default.text.lower() == "null" and kind.is_nullable:
            self.default, self._kind = None, ""
        self._check_path(name, kind)
        return Column(name, kind, self._path, self._kind, self.default.text if self.default else "", self._codec)

    def _name(self) -> str:
        scanner = self._scanner
        is_quoted = scanner.token.kind == "quoted" and scanner.token.text.startswith("`")
        name = scanner.advance().name if is_quoted else scanner.plain_name()
        if not name.isprintable() or name.startswith(_JSON_PREFIX) or not name.strip():
            raise self.fail("That is not a name for a column")
        if len(name) > COLUMN_NAME_CHARS_MAX:
            raise self.fail(f"A column name has at most {COLUMN_NAME_CHARS_MAX} characters")
        return name

    def _clause(self) -> bool:
        """Read one clause behind the type; say whether there was one."""
        scanner = self._scanner
        token = scanner.token
        if token.kind == "quoted" and token.name.startswith(_JSON_PREFIX) and self._path is None:
            scanner.advance()
            self._path = self._jsonpath(token)
        elif scanner.at("default", "materialized") and not self._kind and not self._codec:
            self._kind = scanner.advance().text.upper()
            self.default = self._default()
        elif scanner.at("codec") and not self._codec:
            scanner.advance()
            self._codec = read_codec(scanner)
        else:
            return False
        return True

    def _jsonpath(self, token: Token) -> JsonPath:
        try:
            return parse_jsonpath(token.name.removeprefix(_JSON_PREFIX))
        except SchemaError as error:
            raise self._scanner.fail(error.reason, token) from None

    def _default(self) -> Expression:
        token = self._scanner.token
        is_path = token.kind == "quoted" and token.name.startswith(_JSON_PREFIX)
        if token.kind == "end" or token.text == "," or token.lower == "codec" or is_path:
            raise self._scanner.fail(f"Missing mandatory value for {self._kind}")
        return read_expression(self._scanner, f"a {self._kind} expression")

    def _check_end(self) -> None:
        """Raise at whatever is neither a clause nor the end of the column."""
        scanner = self._scanner
        if scanner.token.kind == "end" or scanner.at(","):
            return
        reasons = {
            "null": "NULL column syntax not supported",
            "not": "NOT NULL column syntax not supported",
            "alias": "ALIAS not supported",
            "ephemeral": "EPHEMERAL not supported",
            "ttl": "column TTL not supported",
            "comment": "column COMMENT not supported",
            "default": f"Unexpected DEFAULT after {'CODEC' if self._codec else self._kind}",
            "materialized": f"Unexpected MATERIALIZED after {'CODEC' if self._codec else self._kind}",
        }
        reason = reasons.get(scanner.token.lower)
        raise scanner.fail(reason) if reason else scanner.fail()

    def _check_path(self, name: str, kind: DataType) -> None:
        """Raise when the path yields arrays the type cannot hold: every row would end in quarantine."""
        if self._path is None or self._path.array_depth <= kind.array_depth:
            return
        element = kind
        while element.name == "Array":
            element = element.args[0]
        if element.inner.name in _TAKES_ARRAYS:
            return
        raise self.fail(f"Column '{name}' must be an Array to take the JSONPath {self._path.text}")


def _at_index(scanner: Scanner) -> bool:
    """Whether an entry `INDEX name expr TYPE …` begins here, and not a column that is called index."""
    if not scanner.at("index"):
        return False
    mark = scanner.mark()
    _skip_entry(scanner)
    is_index = any(token.lower == "type" for token in scanner.tokens_since(mark)[2:])
    scanner.rewind(mark)
    return is_index


def _skip_entry(scanner: Scanner) -> None:
    depth = 0
    while scanner.token.kind != "end" and (depth or not scanner.at(",")):
        depth += (scanner.token.text in {"(", "["}) - (scanner.token.text in {")", "]"})
        scanner.advance()
