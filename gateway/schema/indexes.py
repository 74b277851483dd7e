"""Indexes: data-skipping indexes of a data source.

    [INDEX] name expr TYPE type [GRANULARITY n]      one per line

Types: `minmax`, `set(n)`, `bloom_filter[(p)]`, `ngrambf_v1(…)`, `tokenbf_v1(…)`.
"""

from dataclasses import dataclass
from typing import Any, Final

from gateway.schema.columns import Schema
from gateway.schema.errors import SchemaError
from gateway.schema.expressions import Expression, check_columns, read_expression
from gateway.schema.lexer import Scanner
from gateway.schema.names import quote_identifier

INDEXES_MAX: Final = 100
USAGE: Final = "Usage: [INDEX] name expr TYPE type_full GRANULARITY granularity"

# How many arguments each type takes.
_TYPES: Final = {
    "minmax": (0,),
    "set": (1,),
    "bloom_filter": (0, 1),
    "ngrambf_v1": (4,),
    "tokenbf_v1": (3,),
}


@dataclass(frozen=True, slots=True)
class Index:
    """A data-skipping index.

    Attributes:
        name: a plain name.
        expression: what is indexed.
        type_full: the type with its arguments, such as `set(100)`.
        granularity: granules per entry of the index.
    """

    name: str
    expression: str
    type_full: str
    granularity: int = 1

    def ddl(self) -> str:
        """Return the clause as it stands in CREATE TABLE."""
        name = quote_identifier(self.name)
        return f"INDEX {name} {self.expression} TYPE {self.type_full} GRANULARITY {self.granularity}"

    def datafile_line(self) -> str:
        """Return the line of a datafile that gives this index back."""
        return f"INDEX {self.name} {self.expression} TYPE {self.type_full} GRANULARITY {self.granularity}"

    def wire(self) -> dict[str, Any]:
        """Return the index as JSON."""
        return {
            "name": self.name,
            "expr": self.expression,
            "type_full": self.type_full,
            "granularity": self.granularity,
        }


def parse_indexes(text: str, schema: Schema) -> tuple[Index, ...]:
    """Return the indexes `text` spells, one per line; a comma at the end of a line is ignored, and so is an empty line.

    Raises:
        SchemaError: a line is no index, reads a column that `schema` lacks, or repeats a name; its `line` says which.
    """
    found: list[Index] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("--"):
            continue
        try:
            index = _parse_index(line.strip().removesuffix(","), schema)
            if any(index.name == other.name for other in found):
                raise SchemaError(f"Index '{index.name}' is defined twice")
            if len(found) == INDEXES_MAX:
                raise SchemaError(f"A data source has at most {INDEXES_MAX} indexes")
        except SchemaError as error:
            raise SchemaError(error.reason, excerpt=error.excerpt, line=number, position=error.position) from None
        found.append(index)
    return tuple(found)


def _parse_index(line: str, schema: Schema) -> Index:
    scanner = Scanner(line)
    try:
        name, expression = _name_and_expression(scanner)
    except SchemaError as error:
        raise _invalid(error) from None
    if missing := check_columns((expression,), schema.names):
        raise SchemaError(f"Invalid INDEX '{name}', reason: '{missing}' column is not present in schema")
    type_full = _type(scanner)
    granularity = 1
    if scanner.accept("granularity"):
        token = scanner.token
        if not token.text.isdigit() or not 1 <= int(token.text[:9]) <= 1_000_000:
            raise _invalid(scanner.fail())
        granularity = int(scanner.advance().text)
    if scanner.token.kind != "end":
        raise _invalid(scanner.fail())
    return Index(name, expression.text, type_full, granularity)


def _name_and_expression(scanner: Scanner) -> tuple[str, Expression]:
    if scanner.at("index"):
        scanner.advance()
    name = scanner.expect_kind("word").name
    expression = read_expression(scanner, "an INDEX expression")
    scanner.expect("type")
    return name, expression


def _type(scanner: Scanner) -> str:
    token = scanner.expect_kind("word")
    arguments: list[str] = []
    if scanner.accept("("):
        while not scanner.accept(")"):
            arguments.append(scanner.expect_kind("number").text)
            if not scanner.at(")"):
                scanner.expect(",")
    shown = f"{token.text}({', '.join(arguments)})" if arguments else token.text
    if token.lower not in _TYPES or len(arguments) not in _TYPES[token.lower]:
        raise scanner.fail(f"Not allowed index '{shown[:64]}'", token)
    return token.lower + shown[len(token.text) :]


def _invalid(error: SchemaError) -> SchemaError:
    is_general = error.reason.startswith(("wrong value", "Expected closing"))
    reason = f"Invalid INDEX syntax. {USAGE}" if is_general else error.reason
    return SchemaError(reason, excerpt=error.excerpt, line=error.line, position=error.position)
