"""TTL: when rows are deleted, folded or recompressed.

    ttl  := item {"," item}
    item := expr [DELETE] [WHERE expr] | expr RECOMPRESS CODEC(…)
          | expr GROUP BY expr {"," expr} [SET name = expr {"," name = expr}]

`TO DISK` and `TO VOLUME` are missing on purpose: where data lies is the operator's to say.
"""

from gateway.schema.codecs import read_codec
from gateway.schema.columns import Schema
from gateway.schema.expressions import EXPRESSIONS_MAX, Expression, expect_columns, read_expression
from gateway.schema.lexer import Scanner

_PLACE = "a TTL"


def parse_ttl(text: str, schema: Schema) -> str:
    """Return the TTL `text` spells, blanks folded.

    Raises:
        SchemaError: it is not one, or it reads a column that `schema` does not have.
    """
    scanner = Scanner(text)
    found: list[Expression] = []
    mark = scanner.mark()
    _item(scanner, found)
    while scanner.accept(","):
        if len(found) > EXPRESSIONS_MAX:
            raise scanner.fail(f"There are more than {EXPRESSIONS_MAX} expressions")
        _item(scanner, found)
    scanner.expect_end()
    expect_columns(tuple(found), schema.names, f"Invalid value '{text.strip()}' for option 'engine_ttl'")
    return scanner.text_since(mark)


def _item(scanner: Scanner, found: list[Expression]) -> None:
    found.append(read_expression(scanner, _PLACE))
    if scanner.accept("recompress"):
        scanner.expect("codec")
        read_codec(scanner)
    elif scanner.accept("group"):
        scanner.expect("by")
        _group(scanner, found)
    elif scanner.at("to"):
        raise scanner.fail("A TTL may not move data between disks")
    else:
        scanner.accept("delete")
        if scanner.accept("where"):
            found.append(read_expression(scanner, _PLACE))


def _group(scanner: Scanner, found: list[Expression]) -> None:
    found.append(read_expression(scanner, _PLACE))
    while scanner.accept(","):
        found.append(read_expression(scanner, _PLACE))
    if scanner.accept("set"):
        _assignment(scanner, found)
        while scanner.at(",") and _is_assignment_next(scanner):
            scanner.advance()
            _assignment(scanner, found)


def _assignment(scanner: Scanner, found: list[Expression]) -> None:
    name = scanner.expect_kind("word", "quoted").name
    found.append(Expression(name, (name,)))
    scanner.expect("=")
    found.append(read_expression(scanner, _PLACE, aggregates=True))


def _is_assignment_next(scanner: Scanner) -> bool:
    """Whether `, name =` stands here, rather than the comma before the next item."""
    mark = scanner.mark()
    scanner.advance()
    scanner.advance()
    found = scanner.at("=")
    scanner.rewind(mark)
    return found
