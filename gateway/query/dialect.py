"""Dialect: how user SQL is read. sqlglot's ClickHouse parser, told to change nothing.

sqlglot is a transpiler: it turns `toStartOfDay(x)` into a truncation node, `Int` into `Int32`, `a[1]` into an offset, and
writes something equivalent back. A fence wants what was written, so here every function call stays a call by its own
name, a type stays its own tokens, and what ClickHouse writes in its own way (joins, SAMPLE … OFFSET, LIMIT … BY, INTERVAL,
`f(a)(b)`, APPLY, `x -> y`) is read by ClickHouse's grammar. `render` checks afterwards, token by token, that nothing of
the text was lost or invented; what this module reads wrongly is therefore refused, never run as something else.

This leans on methods of sqlglot's parser that are not its public interface, so its version is pinned to one minor release.
"""

import re
from collections.abc import Callable
from itertools import product
from typing import Any, ClassVar, Final

from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError
from sqlglot.parser import Parser
from sqlglot.parsers.clickhouse import ClickHouseParser
from sqlglot.tokens import Token, TokenType

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.schema.names import quote_identifier, quote_string

# 64 KiB takes about a quarter of a second to read; the query text of the API is documented at 8 KB.
SQL_BYTES_MAX: Final = 64 * 1024

# Each level of brackets costs the parser up to 25 Python frames of the 1000 there are.
NESTING_MAX: Final = 24

_JOIN_WORDS: Final = frozenset(
    "GLOBAL LOCAL ANY ALL ASOF SEMI ANTI INNER LEFT RIGHT FULL OUTER CROSS PASTE ARRAY".split()  # noqa: SIM905
)
_INTERVAL_UNITS: Final = frozenset(
    unit + plural
    for unit in "NANOSECOND MICROSECOND MILLISECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR".split()  # noqa: SIM905
    for plural in ("", "S")
)

# Calls whose first argument may be a unit, as a bare word.
_UNIT_FUNCTIONS: Final = frozenset(
    prefix + infix + what
    for prefix, what in product(("DATE", "TIMESTAMP"), ("ADD", "SUB", "DIFF"))
    for infix in ("", "_")
)
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPE_MARKS: Final = {
    TokenType.COMMA: ",", TokenType.EQ: "=", TokenType.DASH: "-", TokenType.DOT: ".",
    TokenType.L_PAREN: "(", TokenType.R_PAREN: ")",
}  # fmt: skip
_OPENERS: Final = {TokenType.L_PAREN: ")", TokenType.L_BRACKET: "]", TokenType.L_BRACE: "}"}
_CLOSERS: Final = {TokenType.R_PAREN: ")", TokenType.R_BRACKET: "]", TokenType.R_BRACE: "}"}

# Bytes above 0x7F in a string: the engine means a byte, sqlglot a character. So is an `\x` that is not followed by digits.
_RAW_BYTE: Final = re.compile(r"(?<!\\)(?:\\\\)*\\x(?![0-7][0-9a-fA-F])")


class DoubleColon(exp.Expression):
    """`this::to`, kept apart from CAST because the engine names the two columns differently."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "to": True}


class Positive(exp.Expression):
    """`+this`."""


class Spelled(exp.Expression):
    """A call with words inside, `this(expressions…)`; an `exp.Var` among them is a word: `EXTRACT(YEAR FROM x)`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expressions": True}


class TypedLiteral(exp.Expression):
    """`DATE '2024-01-01'`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True}


class TypeName(exp.Expression):
    """A type, `this`, as it will be written; `keys` are its tokens as `render` compares them."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "keys": True}


class LimitBy(exp.Expression):
    """`LIMIT expression [OFFSET offset] BY expressions`; `comma` when written `LIMIT offset, expression BY …`."""

    arg_types: ClassVar[dict[str, bool]] = {"expression": True, "offset": False, "expressions": True, "comma": False}


def parse(sql: str) -> tuple[exp.Expr, list[Token]]:
    """Return the tree of the one statement in `sql`, and the tokens it was read from.

    Raises:
        TooLarge: it is longer or deeper than a query may be.
        InvalidRequest: it is not one statement that can be read.
    """
    if len(sql.encode()) > SQL_BYTES_MAX:
        raise TooLarge(f"The query is too long: the limit is {SQL_BYTES_MAX} bytes")
    try:
        tokens = _DIALECT.tokenize(sql)
        _check_tokens(tokens, sql)
        trees = Reader(dialect=_DIALECT).parse(tokens, sql)
    except SqlglotError as error:
        raise InvalidRequest(f"[Error] Syntax error: {_sentence(error)}") from None
    except RecursionError:
        raise TooLarge("The query is nested too deeply") from None
    except ZeroDivisionError:
        # The parser trips over nonsense it did not foresee; a query it cannot read is the caller's to mend.
        raise InvalidRequest("[Error] Syntax error: the query cannot be read") from None
    trees = [tree for tree in trees if tree is not None and not isinstance(tree, exp.Semicolon)]
    if not trees:
        raise InvalidRequest("[Error] Syntax error: the query is empty")
    if len(trees) > 1:
        raise InvalidRequest("[Error] Syntax error: Multi-statements are not allowed")
    return trees[0], tokens


def _check_tokens(tokens: list[Token], sql: str) -> None:
    """Refuse brackets that are too deep or do not match, and strings the engine reads otherwise."""
    open_brackets: list[str] = []
    for token in tokens:
        kind = token.token_type
        if kind in _OPENERS:
            open_brackets.append(_OPENERS[kind])
            if len(open_brackets) > NESTING_MAX:
                raise TooLarge(f"The query is nested too deeply: the limit is {NESTING_MAX} levels of brackets")
        elif kind in _CLOSERS and (not open_brackets or open_brackets.pop() != _CLOSERS[kind]):
            raise InvalidRequest("[Error] Syntax error: Unmatched parentheses")
        elif kind in (TokenType.STRING, TokenType.IDENTIFIER) and _RAW_BYTE.search(sql[token.start : token.end + 1]):
            raise InvalidRequest("[Error] Syntax error: write bytes above 0x7F as unhex('…'), not as \\x escapes")
    if open_brackets:
        raise InvalidRequest("[Error] Syntax error: Unmatched parentheses")


def _sentence(error: SqlglotError) -> str:
    """Return what sqlglot says, in one line and without its colours."""
    details = getattr(error, "errors", None)
    if not details:
        return "a string or a comment is not closed"
    first = details[0]
    return f"failed at line {first.get('line')}, col {first.get('col')}: near {str(first.get('highlight'))[:80]!r}"


class Reader(ClickHouseParser):
    """A ClickHouse SELECT, read without being improved."""

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNC_TOKENS: ClassVar = {
        *ClickHouseParser.FUNC_TOKENS,
        TokenType.IN, TokenType.VALUES, TokenType.NOT, TokenType.MOD, TokenType.DIV, TokenType.COLUMN,
    }  # fmt: skip
    ID_VAR_TOKENS: ClassVar = {*ClickHouseParser.ID_VAR_TOKENS, TokenType.TABLE_SAMPLE}
    FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
        "CAST": lambda self: self._parse_as("CAST"),
        "EXTRACT": lambda self: self._parse_unit_from("EXTRACT"),
        "POSITION": lambda self: self._parse_infix("POSITION", TokenType.IN),
        "SUBSTRING": lambda self: self._parse_infix("SUBSTRING", TokenType.FROM, TokenType.FOR),
        "SUBSTR": lambda self: self._parse_infix("SUBSTR", TokenType.FROM, TokenType.FOR),
        "TRIM": lambda self: self._parse_trim_from("TRIM"),
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar = {"CASE": ClickHouseParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}
    NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, Any]] = {}
    COLUMN_OPERATORS: ClassVar = {
        TokenType.DOT: None,
        TokenType.DOTCOLON: ClickHouseParser.COLUMN_OPERATORS[TokenType.DOTCOLON],
        TokenType.DOTCARET: ClickHouseParser.COLUMN_OPERATORS[TokenType.DOTCARET],
        TokenType.DCOLON: lambda _self, this, to: DoubleColon(this=this, to=to),
    }
    SET_OP_MODIFIERS: ClassVar[set[str]] = set()
    UNARY_PARSERS: ClassVar = {
        TokenType.PLUS: lambda self: Positive(this=self._parse_unary()),
        TokenType.NOT: ClickHouseParser.UNARY_PARSERS[TokenType.NOT],
        TokenType.DASH: ClickHouseParser.UNARY_PARSERS[TokenType.DASH],
    }
    QUERY_MODIFIER_PARSERS: ClassVar = {
        **ClickHouseParser.QUERY_MODIFIER_PARSERS,
        TokenType.LIMIT: lambda self: self._parse_limit_or_limit_by(),
    }
    ARRAY_CONSTRUCTORS: ClassVar[dict[str, Any]] = {}

    def _parse_function(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        """Read a call; a second list of arguments makes the first its parameters, whatever the function."""
        call = Parser._parse_function(self, *args, **kwargs)  # noqa: SLF001  ClickHouse's own knows a fixed list
        if isinstance(call, exp.Anonymous) and call.expressions and call.name.upper() in _UNIT_FUNCTIONS:
            unit = call.expressions[0]
            if isinstance(unit, exp.Column) and not unit.table and unit.name.upper() in _INTERVAL_UNITS:
                unit.replace(exp.Var(this=unit.name))
        if isinstance(call, exp.Anonymous) and self._match(TokenType.L_PAREN):
            values = [] if self._curr.token_type == TokenType.R_PAREN else self._parse_function_args(alias=True)
            self._match_r_paren(call)
            call = exp.ParameterizedAgg(this=call.this, expressions=call.expressions, params=values)
            return self._parse_window(call)
        return call

    def _parse_as(self, name: str) -> exp.Expr:
        this = self._parse_expression()
        if isinstance(this, exp.Alias):
            # `CAST(x AS UInt8)` read as an alias: step back over the type's name and read it as a type.
            self._retreat(self._index - 1)
            return exp.Cast(this=this.this, to=self._parse_types())
        if self._match(TokenType.ALIAS):
            return exp.Cast(this=this, to=self._parse_types())
        return self._call(name, this)

    def _parse_unit_from(self, name: str) -> exp.Expr:
        if self._next.token_type == TokenType.FROM and self._curr.text.upper() in _INTERVAL_UNITS:
            unit = exp.Var(this=self._curr.text)
            self._advance(2)
            return Spelled(this=name, expressions=[unit, exp.Var(this="FROM"), self._parse_assignment()])
        return self._call(name, self._parse_lambda())

    def _parse_infix(self, name: str, *separators: TokenType) -> exp.Expr:
        this = self._parse_bitwise()
        parts = [this]
        for separator in separators:
            if self._match(separator):
                parts += [exp.Var(this=self._prev.text.upper()), self._parse_bitwise()]
        return self._call(name, this) if len(parts) == 1 else Spelled(this=name, expressions=parts)

    def _parse_trim_from(self, name: str) -> exp.Expr:
        parts: list[exp.Expr | None] = []
        if self._match_texts(("BOTH", "LEADING", "TRAILING")):
            parts.append(exp.Var(this=self._prev.text.upper()))
        this = self._parse_bitwise()
        if self._match(TokenType.FROM):
            return Spelled(this=name, expressions=[*parts, this, exp.Var(this="FROM"), self._parse_bitwise()])
        return self._call(name, this)

    def _call(self, name: str, first: exp.Expr | None) -> exp.Expr:
        """Return a plain call whose first argument has been read."""
        others = self._parse_function_args(alias=True) if self._match(TokenType.COMMA) else []
        return exp.Anonymous(this=name, expressions=[first, *others] if first else others)

    def _parse_types(self, *_args: Any, **_kwargs: Any) -> exp.Expr | None:
        """Read a type as the tokens it is made of: a name, and perhaps a balanced list of names, numbers and strings."""
        token = self._curr
        if token.token_type == TokenType.IDENTIFIER:
            self._advance()
            return TypeName(this=quote_identifier(token.text), keys=[token.text.upper()])
        if not _WORD.fullmatch(token.text):
            return None
        parts, depth = [self._type_part(token)], 0
        self._advance()
        while self._curr and (depth or self._curr.token_type == TokenType.L_PAREN):
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(self._curr.token_type, 0)
            parts.append(self._type_part(self._curr))
            self._advance()
            if not depth:
                break
        return TypeName(this=" ".join(part for part, _ in parts), keys=[key for _, key in parts])

    def _type_part(self, token: Token) -> tuple[str, str]:
        """Return how `token` is written in a type, and its key."""
        text = token.text
        if token.token_type == TokenType.STRING:
            return quote_string(text), "'" + text
        if token.token_type == TokenType.IDENTIFIER:
            return quote_identifier(text), text.upper()
        if token.token_type in _TYPE_MARKS:
            return _TYPE_MARKS[token.token_type], _TYPE_MARKS[token.token_type]
        if not (_WORD.fullmatch(text) or (text.isascii() and text.isdecimal())):
            self.raise_error("This is not a type", token)
        return text, text.upper()

    def _parse_type(self, parse_interval: bool = True, fallback_to_identifier: bool = False) -> exp.Expr | None:
        if self._curr.text.upper() in ("DATE", "TIMESTAMP") and self._next.token_type == TokenType.STRING:
            word = self._curr.text.upper()
            self._advance(2)
            return TypedLiteral(this=word, expression=exp.Literal.string(self._prev.text))
        interval = self._parse_interval() if parse_interval and self._curr.token_type == TokenType.INTERVAL else None
        if interval:
            return self._parse_column_ops(interval)
        if fallback_to_identifier:
            return self._parse_id_var()
        return self._parse_atom() or self._parse_column()

    def _parse_interval(self, *_args: Any, **_kwargs: Any) -> exp.Interval | None:
        """`INTERVAL '1 day'`, `INTERVAL 1 DAY`, `INTERVAL (a + b) DAY`; None if it is a column of that name."""
        index = self._index
        self._advance()
        this = self._parse_primary() if self._curr.token_type == TokenType.STRING else self._parse_term()
        if this and self._curr and self._curr.text.upper() in _INTERVAL_UNITS:
            unit = exp.Var(this=self._curr.text.upper())
            self._advance()
            return exp.Interval(this=this, unit=unit)
        if isinstance(this, exp.Literal) and this.is_string:
            return exp.Interval(this=this)
        self._retreat(index)
        return None

    def _parse_assignment(self) -> exp.Expr | None:
        """Read an expression; ClickHouse allows a lambda wherever it allows one."""
        if self._next.token_type == TokenType.ARROW and _WORD.fullmatch(self._curr.text):
            return self._parse_lambda()
        return super()._parse_assignment()

    def _replace_lambda(self, node: exp.Expr | None, _expressions: list[exp.Expr]) -> exp.Expr | None:
        return node

    def _parse_expression(self) -> exp.Expr | None:
        this = Parser._parse_expression(self)  # noqa: SLF001  ClickHouse's own reads only a bare word in APPLY
        while self._curr.text.upper() == "APPLY" and self._curr.token_type != TokenType.IDENTIFIER:
            self._advance()
            wrapped = self._match(TokenType.L_PAREN)
            function = self._parse_lambda()
            if isinstance(function, exp.Column) and not function.table:
                function = exp.Var(this=function.name)
            if wrapped:
                self._match_r_paren()
            this = exp.Apply(this=this, expression=function)
        return this

    def _parse_alias(self, this: exp.Expr | None, explicit: bool = False) -> exp.Expr | None:
        is_apply = self._curr.text.upper() == "APPLY" and isinstance(this, (exp.Star, exp.Anonymous, exp.Column))
        return this if is_apply else Parser._parse_alias(self, this, explicit=explicit)  # noqa: SLF001

    def _negate_range(self, this: exp.Expr | None = None) -> exp.Expr | None:
        if this is not None:
            this.set("negate", True)
        return this

    def _parse_is(self, this: exp.Expr | None) -> exp.Expr | None:
        """`IS [NOT] NULL` and `IS [NOT] DISTINCT FROM x`."""
        is_negative = bool(self._match(TokenType.NOT))
        if self._match_text_seq("DISTINCT", "FROM"):
            return exp.NullSafeNEQ(this=this, expression=self._parse_bitwise(), negate=is_negative)
        if not self._match(TokenType.NULL):
            self.raise_error("Expected NULL after IS")
        return exp.Is(this=this, expression=exp.Null(), negate=is_negative)

    def _build_predicate(self, klass: Any, this: Any, expression: Any, *_args: Any, **_kwargs: Any) -> exp.Expr:
        built: exp.Expr = klass(this=this, expression=expression)
        return built

    def _parse_between(self, this: exp.Expr | None) -> exp.Between:
        low = self._parse_bitwise()
        self._match(TokenType.AND)
        return exp.Between(this=this, low=low, high=self._parse_bitwise())

    def _parse_in(self, this: exp.Expr | None, alias: bool = False) -> exp.In:  # noqa: ARG002  sqlglot's signature
        """`IN (…)`, and IN followed by a table, an array, a function or a value without brackets of its own."""
        if not self._match(TokenType.L_PAREN):
            return exp.In(this=this, field=self._parse_unary())
        members = self._parse_csv(lambda: self._parse_select_or_expression())
        self._match_r_paren()
        return exp.In(this=this, expressions=members)

    def _parse_lambda(self, alias: bool = False) -> exp.Expr | None:
        has_brackets = self._curr.token_type == TokenType.L_PAREN
        this = super()._parse_lambda(alias=alias)
        if isinstance(this, exp.Lambda) and has_brackets:
            this.set("brackets", True)
        return this

    def _parse_star_ops(self) -> exp.Expr | None:
        """`* [EXCEPT a | EXCEPT (a, b)] [REPLACE (x AS a)]`."""
        star = exp.Star()
        for word, key in (("EXCEPT", "except_"), ("REPLACE", "replace")):
            # EXCEPT is also a set operation: then SELECT or a bracket with one follows.
            if self._curr.text.upper() != word or self._next.token_type == TokenType.SELECT:
                continue
            self._advance()
            star.set(key + "brackets", self._curr.token_type == TokenType.L_PAREN)
            star.set(key, self._parse_wrapped_csv(self._parse_expression, optional=True))
        return star

    def _parse_ordered(self, parse_method: Any = None) -> exp.Ordered | None:
        """`x [ASC | DESC] [NULLS FIRST | LAST] [WITH FILL …]`; a COLLATE has been read as an operator."""
        if self._curr.token_type == TokenType.ALL:
            self._advance()
            this: exp.Expr | None = exp.Var(this="ALL")
        else:
            this = parse_method() if parse_method else self._parse_assignment()
        if not this:
            return None
        ordered = exp.Ordered(this=this)
        if not self._match(TokenType.ASC):
            ordered.set("desc", self._match(TokenType.DESC))
        if self._match_text_seq("NULLS"):
            ordered.set("nulls_first", self._curr.text.upper())
            self._advance()
        if self._match_text_seq("WITH", "FILL"):
            fill = exp.WithFill()
            for word, key in (("FROM", "from_"), ("TO", "to"), ("STEP", "step"), ("STALENESS", "staleness")):
                if self._match_text_seq(word):
                    fill.set(key, self._parse_bitwise())
            fill.set("interpolate", self._parse_interpolate())
            ordered.set("with_fill", fill)
        return ordered

    def _parse_select_query(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        is_from_first = self._curr.token_type == TokenType.FROM
        query = super()._parse_select_query(*args, **kwargs)
        if is_from_first and isinstance(query, exp.Select):
            query.set("from_first", True)
        return query

    def _parse_global_in(self, this: exp.Expr | None) -> exp.Expr | None:
        is_negative = bool(self._match(TokenType.NOT))
        if not self._match(TokenType.IN):
            self.raise_error("Expected IN after GLOBAL")
        found = self._parse_in(this)
        found.set("is_global", True)
        found.set("negate", is_negative)
        return found

    def _parse_query_parameter(self) -> exp.Expr | None:
        """`{name:Type}`."""
        name = self._curr.text
        self._advance()
        if not _WORD.fullmatch(name) or not self._match(TokenType.COLON):
            self.raise_error("Expected a parameter, {name:Type}")
        kind = self._parse_types()
        self._match(TokenType.R_BRACE)
        return exp.Placeholder(this=name, kind=kind)

    def _parse_derived_table_values(self) -> None:
        """VALUES is a table function here."""

    def _parse_table(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        table = super()._parse_table(*args, **kwargs)
        if isinstance(table, exp.Final) and self._curr.token_type == TokenType.TABLE_SAMPLE:
            table.this.set("sample", self._parse_table_sample())
        return table

    def _parse_table_sample(self, as_modifier: bool = False) -> exp.TableSample | None:
        """`SAMPLE 1/10 OFFSET 1/2`, which belongs to the table and not to the query's own OFFSET."""
        if as_modifier or not self._match(TokenType.TABLE_SAMPLE):
            return None
        sample = exp.TableSample(size=self._parse_factor())
        if self._match(TokenType.OFFSET):
            sample.set("seed", self._parse_factor())
        return sample

    def _parse_join_parts(self) -> tuple[None, None, None]:
        return None, None, None

    def _parse_join(self, *_args: Any, alias_tokens: Any = None, **_kwargs: Any) -> exp.Join | None:
        """Read one join, and no join inside it: sqlglot's own tries again for each, in exponential time."""
        if self._match(TokenType.COMMA):
            return exp.Join(this=self._parse_table(alias_tokens=alias_tokens), kind=",")
        index = self._index
        words = []
        while self._curr.text.upper() in _JOIN_WORDS and self._curr.token_type != TokenType.IDENTIFIER:
            words.append(self._curr.text.upper())
            self._advance()
        if not self._match(TokenType.JOIN):
            self._retreat(index)
            return None
        if "ARRAY" in words:
            arrays = self._parse_csv(self._parse_expression)
            return exp.Join(this=arrays[0] if arrays else None, expressions=arrays, kind=" ".join(words))
        join = exp.Join(this=self._parse_table(alias_tokens=alias_tokens), kind=" ".join(words))
        if self._match(TokenType.ON):
            join.set("on", self._parse_assignment())
        elif self._match(TokenType.USING):
            join.set("method", "(" if self._curr.token_type == TokenType.L_PAREN else "")
            join.set("using", self._parse_wrapped_csv(self._parse_id_var, optional=True))
        return join

    def _parse_limit_or_limit_by(self) -> tuple[str, exp.Expr]:
        self._advance()
        count, offset, comma = self._parse_term(), None, False
        if self._match(TokenType.COMMA):
            count, offset, comma = self._parse_term(), count, True
        elif self._match(TokenType.OFFSET):
            offset = self._parse_term()
        if self._match_text_seq("BY"):
            keys = self._parse_csv(self._parse_expression)
            return "limit_by", LimitBy(expression=count, offset=offset, expressions=keys, comma=comma)
        ties = exp.LimitOptions(with_ties=True) if self._match_text_seq("WITH", "TIES") else None
        limit = exp.Limit(expression=count, limit_options=ties)
        limit.set("this", offset)
        limit.set("comma", comma)
        return "limit", limit


class Fenced(ClickHouse):
    """The dialect of user SQL."""

    INDEX_OFFSET = 0
    Parser = Reader

    class Tokenizer(ClickHouse.Tokenizer):
        """ClickHouse's tokens; no statement is kept as a string for later."""


_DIALECT: Final = Fenced()
