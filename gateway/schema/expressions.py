"""Expressions: one ClickHouse expression, read by a grammar that knows where it ends.

A DEFAULT, a key, a TTL or an index expression comes from a client and goes into our DDL, so balancing brackets is not
enough: `1 TTL d`, `1 COMMENT 'x'` or `x IN other_table` balance too. What this module returns was derived from

    lambda     → name -> …, (name, …) -> …                ternary   → a ? b : c
    operators  → OR AND NOT = == != <> < <= > >= LIKE ILIKE REGEXP IN BETWEEN IS NULL || + - * / % DIV MOD ::
    operands   → literal, name, a.b.c, t.1, a[i], f(…), (…), […], CASE, CAST, INTERVAL n unit, DATE '…'

and nothing else: no subquery, no alias, no `*`, no query parameter. Calls pass `functions.refusal`. The right side of
IN may name no column, because there ClickHouse takes a name for a table.

An expression keeps its text; only blanks and comments between tokens are folded to one space.
"""

from dataclasses import dataclass
from typing import Final

from gateway.schema.errors import SchemaError
from gateway.schema.functions import refusal
from gateway.schema.lexer import SYNTAX_HINT, Scanner, words
from gateway.schema.types import read_type

# Public data sources stay under 300 characters and 6 levels; the recursion below takes four frames a level.
EXPRESSION_CHARS_MAX: Final = 8 * 1024
EXPRESSION_DEPTH_MAX: Final = 48
EXPRESSIONS_MAX: Final = 64

_INFIX: Final = {
    "or": 3,
    "and": 4,
    **dict.fromkeys(("=", "==", "!=", "<>", "<", "<=", ">", ">=", "like", "ilike", "regexp"), 6),
    "||": 7,
    **dict.fromkeys(("+", "-"), 8),
    **dict.fromkeys(("*", "/", "%", "div", "mod"), 9),
}
_LAMBDA, _TERNARY, _AND, _NOT, _COMPARISON, _UNARY = 1, 2, 4, 5, 6, 10

_LITERALS: Final = frozenset(("null", "true", "false", "inf", "nan"))
_UNITS: Final = frozenset(
    unit + plural
    for unit in words("nanosecond microsecond millisecond second minute hour day week month quarter year")
    for plural in ("", "s")
)
_UNIT_FUNCTIONS: Final = words(
    "datediff date_diff timestampdiff timestamp_diff dateadd date_add datesub date_sub timestampadd timestamp_add "
    "timestampsub timestamp_sub age"
)
# They cannot begin an operand; a column of such a name is written in backticks.
_RESERVED: Final = words(
    "select from with union intersect except as when then else end and or in like ilike between is settings apply "
    "distinct global over where group order having limit delete recompress to set using"
)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was read whole.

    Attributes:
        text: as written, blanks folded.
        columns: the names it reads, in order, nested ones with dots (`a.b`), without quotes or lambda arguments.
    """

    text: str
    columns: tuple[str, ...]


def read_expression(scanner: Scanner, place: str, *, aggregates: bool = False) -> Expression:
    """Read one expression where `scanner` stands, and leave `scanner` behind it.

    Args:
        scanner: at the first token of the expression.
        place: what the expression is, for the error: "a DEFAULT expression".
        aggregates: whether it may call aggregate functions.

    Raises:
        SchemaError: there is no expression, or one that is not allowed here.
    """
    mark = scanner.mark()
    reader = _Reader(scanner, place, aggregates=aggregates)
    reader.read(0, 0)
    text = scanner.text_since(mark)
    return Expression(text, tuple(reader.columns))


def read_expressions(scanner: Scanner, place: str) -> tuple[Expression, ...]:
    """Read one or more expressions with commas between them.

    Raises:
        SchemaError: as `read_expression`.
    """
    found = [read_expression(scanner, place)]
    while scanner.accept(","):
        if len(found) == EXPRESSIONS_MAX:
            raise scanner.fail(f"There are more than {EXPRESSIONS_MAX} expressions")
        found.append(read_expression(scanner, place))
    return tuple(found)


def parse_expressions(text: str, place: str) -> tuple[Expression, ...]:
    """Return the expressions `text` consists of, one or more with commas between them.

    Raises:
        SchemaError: as `read_expression`, or something is left over.
    """
    scanner = Scanner(text)
    found = read_expressions(scanner, place)
    scanner.expect_end()
    return found


class _Reader:
    """One pass over one expression: precedence climbing; `columns` grows on the way."""

    def __init__(self, scanner: Scanner, place: str, *, aggregates: bool) -> None:
        self.columns: list[str] = []
        self._scanner = scanner
        self._place = place
        self._aggregates = aggregates
        self._begin = scanner.token.start

    def read(self, power: int, depth: int) -> None:
        """Read operators that bind stronger than `power`, and their operands."""
        if depth > EXPRESSION_DEPTH_MAX:
            raise self._scanner.fail(f"The expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels")
        if self._scanner.token.start - self._begin > EXPRESSION_CHARS_MAX:
            raise self._scanner.fail(f"The expression is longer than {EXPRESSION_CHARS_MAX} characters")
        mark, columns = self._scanner.mark(), len(self.columns)
        self._operand(depth)
        while self._infix(power, depth, mark, columns):
            pass

    def _infix(self, power: int, depth: int, mark: int, columns: int) -> bool:
        """Read one operator and its right side, if one is there that binds stronger than `power`."""
        scanner = self._scanner
        word = scanner.token.lower
        if (binding := _INFIX.get(word, 0)) > power:
            scanner.advance()
            self.read(binding, depth + 1)
        elif word in {"not", "in", "between", "is"} and power < _COMPARISON:
            self._predicate(depth)
        elif word == "->" and power < _LAMBDA:
            self._lambda(depth, mark, columns)
        elif word == "?" and power < _TERNARY:
            scanner.advance()
            self.read(_TERNARY, depth + 1)
            scanner.expect(":")
            self.read(_LAMBDA, depth + 1)
        else:
            return False
        return True

    def _predicate(self, depth: int) -> None:
        """Read `[NOT] IN (…)`, `[NOT] BETWEEN a AND b`, `[NOT] LIKE p` or `IS [NOT] NULL`."""
        scanner = self._scanner
        if scanner.accept("is"):
            scanner.accept("not")
            scanner.expect("null")
            return
        is_negated = scanner.accept("not")
        if scanner.accept("between"):
            self.read(_AND, depth + 1)
            scanner.expect("and")
            self.read(_AND, depth + 1)
        elif is_negated and scanner.at("like", "ilike"):
            scanner.advance()
            self.read(_COMPARISON, depth + 1)
        else:
            scanner.expect("in")
            self._list_of_literals(depth)

    def _list_of_literals(self, depth: int) -> None:
        start, columns = self._scanner.token, len(self.columns)
        self._operand(depth + 1)
        if len(self.columns) > columns:
            raise self._scanner.fail("The right side of IN must be a list of literals", start)

    def _lambda(self, depth: int, mark: int, columns: int) -> None:
        """Read `-> body`; what stands left of it are arguments, not columns."""
        tokens = [token for token in self._scanner.tokens_since(mark) if token.text not in {"(", ")", ","}]
        arguments = set(self.columns[columns:])
        if len(tokens) != len(self.columns) - columns or any(token.kind != "word" for token in tokens):
            raise self._scanner.fail("Only names may stand before ->")
        del self.columns[columns:]
        self._scanner.advance()
        self.read(0, depth + 1)
        self.columns[columns:] = [name for name in self.columns[columns:] if name.split(".")[0] not in arguments]

    def _operand(self, depth: int) -> None:
        scanner = self._scanner
        token = scanner.token
        if token.kind in {"number", "string"} or token.lower in _LITERALS:
            scanner.advance()
        elif token.kind == "word" and self._keyword(depth):
            pass
        elif token.kind in {"word", "quoted"}:
            self._name(depth)
        elif scanner.accept("("):
            self._arguments(")", depth)
        elif scanner.accept("["):
            self._arguments("]", depth)
        elif scanner.accept("-"):
            self.read(_UNARY, depth + 1)
            return
        else:
            raise scanner.fail(SYNTAX_HINT)
        self._postfix(token.kind, depth)

    def _keyword(self, depth: int) -> bool:
        """Read an operand that begins with a keyword; say whether there was one."""
        scanner = self._scanner
        word = scanner.token.lower
        if word in _RESERVED:
            raise scanner.fail(f"{word.upper()} is not allowed in {self._place}")
        if word not in {"not", "case", "cast", "interval", "date", "timestamp"}:
            return False
        name = scanner.advance()
        if word == "not":
            self.read(_NOT, depth + 1)
        elif word == "case":
            self._case(depth)
        elif word == "cast" and scanner.accept("("):
            self._cast(depth)
        elif word == "interval":
            self._interval(depth)
        elif scanner.token.kind == "string":
            scanner.advance()
        elif scanner.accept("("):
            self._call(name.text, depth)
        else:
            self.columns.append(name.name)
        return True

    def _case(self, depth: int) -> None:
        scanner = self._scanner
        if not scanner.at("when"):
            self.read(0, depth + 1)
        while scanner.accept("when"):
            self.read(0, depth + 1)
            scanner.expect("then")
            self.read(0, depth + 1)
        if scanner.accept("else"):
            self.read(0, depth + 1)
        scanner.expect("end")

    def _cast(self, depth: int) -> None:
        scanner = self._scanner
        self.read(0, depth + 1)
        if scanner.accept("as"):
            read_type(scanner)
        else:
            scanner.expect(",")
            scanner.expect_kind("string")
        scanner.expect(")")

    def _interval(self, depth: int) -> None:
        """Read `90 DAY`, `-1 MONTH`, `(a + 1) HOUR` or `'1 day'`; INTERVAL is behind us."""
        scanner = self._scanner
        is_text = scanner.token.kind == "string"
        if scanner.token.kind not in {"number", "string", "word", "quoted"} and not scanner.at("-", "("):
            raise scanner.fail("INTERVAL needs a number and a unit; a column of that name is written in backticks")
        scanner.accept("-")
        self._operand(depth + 1)
        if scanner.token.lower in _UNITS:
            scanner.advance()
        elif not is_text:
            raise scanner.fail("INTERVAL needs a unit, such as DAY")

    def _name(self, depth: int) -> None:
        """Read a column, `a.b.c`, or a function call."""
        scanner = self._scanner
        token = scanner.advance()
        if scanner.at("("):
            if reason := refusal(token.name, aggregates=self._aggregates):
                raise scanner.fail(f"Function '{token.name}' is not allowed in {self._place}: {reason}", token)
            scanner.advance()
            self._call(token.name, depth)
            return
        parts = [token.name]
        while scanner.accept("."):
            if scanner.token.kind == "number":
                scanner.advance()
                break
            parts.append(scanner.expect_kind("word", "quoted").name)
        if scanner.at("("):
            raise scanner.fail()
        self.columns.append(".".join(parts))

    def _call(self, name: str, depth: int) -> None:
        """Read the arguments of a call; the opening parenthesis is behind us."""
        scanner = self._scanner
        if name.lower() in _UNIT_FUNCTIONS and scanner.token.lower in _UNITS:
            scanner.advance()
            scanner.expect(",")
        self._arguments(")", depth)

    def _arguments(self, closing: str, depth: int) -> None:
        scanner = self._scanner
        while not scanner.accept(closing):
            self.read(0, depth + 1)
            if not scanner.at(closing):
                scanner.expect(",", "Expected closing " + closing)

    def _postfix(self, kind: str, depth: int) -> None:
        """Read `[index]`, `.1`, `.name` and `::Type` behind an operand."""
        scanner = self._scanner
        while True:
            if scanner.accept("["):
                self.read(0, depth + 1)
                scanner.expect("]")
            elif scanner.at(".") and kind != "number":
                scanner.advance()
                scanner.expect_kind("word", "number")
            elif scanner.accept("::"):
                read_type(scanner)
            else:
                return


def check_columns(expressions: tuple[Expression, ...], names: frozenset[str]) -> str:
    """Return the first name the expressions read that is not in `names` (nor nested in one that is), or ""."""
    for expression in expressions:
        for name in expression.columns:
            parts = name.split(".")
            if not any(".".join(parts[:i]) in names for i in range(len(parts), 0, -1)):
                return name
    return ""


def expect_columns(expressions: tuple[Expression, ...], names: frozenset[str], subject: str) -> None:
    """Raise unless every name the expressions read is in `names`.

    Raises:
        SchemaError: `subject`, reason: '…' column is not present in schema.
    """
    if missing := check_columns(expressions, names):
        raise SchemaError(f"{subject}, reason: '{missing}' column is not present in schema")
