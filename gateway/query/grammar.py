"""Grammar: ClickHouse's SELECT, read by sqlglot's parser without being improved.

sqlglot is a transpiler: it turns `toStartOfDay(x)` into a truncation node, `Int` into `Int32`, `a[1]` into an offset,
and writes something equivalent back. A fence wants what was written. So here a call stays a call by its own name, a
type stays its own tokens, and what ClickHouse writes in its own way (joins, SAMPLE … OFFSET, LIMIT … BY, INTERVAL,
`f(a)(b)`, APPLY, `x -> y`) is read by ClickHouse's rules. What is read wrongly all the same is found by
`render.check_same`.

These are methods of sqlglot's parser that are not its public interface: its version is pinned to one minor release.

Longer than other modules because it is one parser: its methods override those of one class of sqlglot's.
"""

import re
from collections.abc import Callable
from itertools import product
from typing import Any, ClassVar, Final

from sqlglot import exp
from sqlglot.parser import Parser
from sqlglot.parsers.clickhouse import ClickHouseParser
from sqlglot.tokenizer_core import Token, TokenType

from gateway.query.nodes import (
    ArrayJoined,
    CommaJoined,
    DoubleColon,
    FetchClause,
    Filled,
    Joined,
    LimitClause,
    Listed,
    OffsetClause,
    Positive,
    QueryParameter,
    Spelled,
    Ternary,
    TypedLiteral,
    TypeName,
)
from gateway.schema.names import quote_identifier, quote_string

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_JOIN_WORDS: Final = frozenset(
    [
        "GLOBAL",
        "LOCAL",
        "ANY",
        "ALL",
        "ASOF",
        "SEMI",
        "ANTI",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "OUTER",
        "CROSS",
        "PASTE",
    ]
)
_UNITS: Final = frozenset(
    ["NANOSECOND", "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]
)
_INTERVAL_UNITS: Final = _UNITS | {unit + "S" for unit in _UNITS}

# Calls whose first argument may be a unit, as a bare word.
_UNIT_FUNCTIONS: Final = frozenset(
    prefix + infix + what for prefix, infix, what in product(("DATE", "TIMESTAMP"), ("", "_"), ("ADD", "SUB", "DIFF"))
)

_QUERY_STARTS: Final = frozenset([TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN])

_TYPE_MARKS: Final = {
    TokenType.COMMA: ",", TokenType.EQ: "=", TokenType.DASH: "-", TokenType.DOT: ".",
    TokenType.L_PAREN: "(", TokenType.R_PAREN: ")",
}  # fmt: skip


class Grammar(ClickHouseParser):
    """Reads one statement; `parse` is the way in."""

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
    ARRAY_CONSTRUCTORS: ClassVar[dict[str, Any]] = {}
    SET_OP_MODIFIERS: ClassVar[set[str]] = set()
    COLUMN_OPERATORS: ClassVar = {
        TokenType.DOT: None,
        TokenType.DOTCOLON: ClickHouseParser.COLUMN_OPERATORS[TokenType.DOTCOLON],
        TokenType.DOTCARET: ClickHouseParser.COLUMN_OPERATORS[TokenType.DOTCARET],
        TokenType.DCOLON: lambda _self, this, to: DoubleColon(this=this, to=to),
    }
    UNARY_PARSERS: ClassVar = {
        TokenType.PLUS: lambda self: Positive(this=self._parse_unary()),
        TokenType.NOT: ClickHouseParser.UNARY_PARSERS[TokenType.NOT],
        TokenType.DASH: ClickHouseParser.UNARY_PARSERS[TokenType.DASH],
    }
    PLACEHOLDER_PARSERS: ClassVar = {TokenType.L_BRACE: lambda self: self._parse_query_parameter()}
    QUERY_MODIFIER_PARSERS: ClassVar = {
        **ClickHouseParser.QUERY_MODIFIER_PARSERS,
        TokenType.LIMIT: lambda self: self._parse_limit_clause(),
        TokenType.OFFSET: lambda self: self._parse_offset_clause(),
        TokenType.FETCH: lambda self: self._parse_fetch_clause(),
    }

    def _parse_statement(self) -> exp.Expr | None:
        """Read a query; sqlglot would read any statement here, CTEs included, and log those it does not know."""
        if self._curr and self._curr.token_type not in _QUERY_STARTS:
            self.raise_error("Expected SELECT")
        return super()._parse_statement()

    def _parse_group(self, skip_group_by_token: bool = False) -> exp.Group | None:
        """Read GROUP BY; sqlglot would take the word FORMAT behind ALL and WITH TOTALS for one more column."""
        if not skip_group_by_token and not self._match(TokenType.GROUP_BY):
            return None
        group = exp.Group()
        if self._match(TokenType.ALL):
            group.set("all", True)
        else:
            group.set("expressions", self._parse_csv(self._grouped))
        while self._match(TokenType.WITH):
            mode = self._parse_cube_or_rollup(with_prefix=True)
            if mode is None and not self._match_text_seq("TOTALS"):
                self._retreat(self._index - 1)
                break
            group.set(mode.key if mode else "totals", [mode] if mode else True)
        return group

    def _grouped(self) -> exp.Expr | None:
        return self._parse_grouping_sets() or self._parse_cube_or_rollup() or self._parse_disjunction()

    # ---- calls ----

    def _parse_function(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        """Read a call; a second list of arguments makes the first its parameters, whatever the function."""
        call = Parser._parse_function(self, *args, **kwargs)  # noqa: SLF001  ClickHouse's own knows a fixed list
        if not isinstance(call, exp.Anonymous):
            return call
        first = call.expressions[0] if call.expressions else None
        if isinstance(first, exp.Column) and call.name.upper() in _UNIT_FUNCTIONS and not first.table:
            unit = first.name.upper()
            if unit in _INTERVAL_UNITS:
                first.replace(exp.Var(this=unit))
        if not self._match(TokenType.L_PAREN):
            return call
        values = [] if self._curr.token_type == TokenType.R_PAREN else self._parse_function_args(alias=True)
        self._match_r_paren(call)
        return self._parse_window(exp.ParameterizedAgg(this=call.this, expressions=call.expressions, params=values))

    def _parse_as(self, name: str) -> exp.Expr:
        this = self._parse_expression()
        if isinstance(this, exp.Alias):
            # `CAST(x AS UInt8)` was read as an alias: step back over the type's name and read it as a type.
            self._retreat(self._index - 1)
            return exp.Cast(this=this.this, to=self._parse_types())
        if self._match(TokenType.ALIAS):
            return exp.Cast(this=this, to=self._parse_types())
        return self._call(name, this)

    def _parse_unit_from(self, name: str) -> exp.Expr:
        if self._next.token_type == TokenType.FROM and self._curr.text.upper() in _INTERVAL_UNITS:
            unit = self._word()
            self._advance()
            return Spelled(this=name, expressions=[unit, exp.Var(this="FROM"), self._parse_assignment()])
        return self._call(name, self._parse_lambda())

    def _parse_infix(self, name: str, *separators: TokenType) -> exp.Expr:
        this = self._parse_bitwise()
        parts = [this]
        for separator in separators:
            if self._curr.token_type == separator:
                parts += [self._word(), self._parse_bitwise()]
        return self._call(name, this) if len(parts) == 1 else Spelled(this=name, expressions=parts)

    def _parse_trim_from(self, name: str) -> exp.Expr:
        has_side = (
            self._curr.text.upper() in ("BOTH", "LEADING", "TRAILING") and self._next.token_type == TokenType.STRING
        )
        parts: list[exp.Expr | None] = [self._word()] if has_side else []
        this = self._parse_bitwise()
        if self._curr.token_type == TokenType.FROM:
            return Spelled(this=name, expressions=[*parts, this, self._word(), self._parse_bitwise()])
        return self._call(name, this)

    def _call(self, name: str, first: exp.Expr | None) -> exp.Expr:
        """Return a plain call whose first argument has been read."""
        others = self._parse_function_args(alias=True) if self._match(TokenType.COMMA) else []
        return exp.Anonymous(this=name.lower(), expressions=[first, *others] if first else others)

    def _word(self) -> exp.Var:
        """Take the next token as a word."""
        word = exp.Var(this=self._curr.text.upper())
        self._advance()
        return word

    def _parse_lambda(self, alias: bool = False) -> exp.Expr | None:
        has_brackets = self._curr.token_type == TokenType.L_PAREN
        this = super()._parse_lambda(alias=alias)
        if isinstance(this, exp.Lambda) and has_brackets:
            this.set("brackets", True)
        return this

    def _replace_lambda(self, node: exp.Expr | None, _expressions: list[exp.Expr]) -> exp.Expr | None:
        return node

    # ---- types and values ----

    def _parse_types(self, *_args: Any, **_kwargs: Any) -> exp.Expr | None:
        """Read a type as its tokens: a name, and perhaps a balanced list of names, numbers and strings."""
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

    def parse_structure(self) -> exp.Expr:
        """Read `name Type, …`."""
        columns = self._parse_csv(lambda: exp.ColumnDef(this=self._parse_id_var(), kind=self._parse_types()))
        if not all(column.this and column.args["kind"] for column in columns):
            self.raise_error("Expected names and types of columns")
        return exp.Tuple(expressions=columns)

    def _parse_type(self, parse_interval: bool = True, fallback_to_identifier: bool = False) -> exp.Expr | None:
        if self._curr.text.upper() in ("DATE", "TIMESTAMP") and self._next.token_type == TokenType.STRING:
            word = self._word()
            self._advance()
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
            return exp.Interval(this=this, unit=self._word())
        if isinstance(this, exp.Literal) and this.is_string:
            return exp.Interval(this=this)
        self._retreat(index)
        return None

    def _parse_query_parameter(self) -> exp.Expr | None:
        if not _WORD.fullmatch(self._curr.text) or self._next.token_type != TokenType.COLON:
            self.raise_error("Expected a parameter, {name:Type}")
        name = exp.Var(this=self._curr.text)
        self._advance(2)
        parameter = QueryParameter(this=name, kind=self._parse_types())
        self._match(TokenType.R_BRACE)
        return parameter

    # ---- operators ----

    def _parse_assignment(self) -> exp.Expr | None:
        """Read an expression; ClickHouse allows a lambda, and `a ? b : c`, wherever it allows one."""
        if self._next.token_type == TokenType.ARROW and _WORD.fullmatch(self._curr.text):
            return self._parse_lambda()
        this = Parser._parse_assignment(self)  # noqa: SLF001
        if not self._match(TokenType.PLACEHOLDER):
            return this
        when_true = self._parse_assignment()
        if not self._match(TokenType.COLON):
            self.raise_error("Expected : after ?")
        return Ternary(this=this, true=when_true, false=self._parse_assignment())

    def _parse_expression(self) -> exp.Expr | None:
        this = Parser._parse_expression(self)  # noqa: SLF001  ClickHouse's own reads only a bare word in APPLY
        while self._is_apply():
            self._advance()
            has_brackets = self._match(TokenType.L_PAREN)
            function = self._parse_lambda()
            if isinstance(function, exp.Column) and not function.table:
                function = exp.Var(this=function.name)
            if has_brackets:
                self._match_r_paren()
            this = exp.Apply(this=this, expression=function)
        return this

    def _is_apply(self) -> bool:
        return self._curr.text.upper() == "APPLY" and self._curr.token_type != TokenType.IDENTIFIER

    def _parse_alias(self, this: exp.Expr | None, explicit: bool = False) -> exp.Expr | None:
        if self._is_apply() and isinstance(this, (exp.Star, exp.Anonymous, exp.Column)):
            return this
        return Parser._parse_alias(self, this, explicit=explicit)  # noqa: SLF001

    def _parse_star_ops(self) -> exp.Expr | None:
        """`* [EXCEPT a | EXCEPT (a, b)] [REPLACE (x AS a)]`."""
        star = exp.Star()
        for word, key in (("EXCEPT", "except_"), ("REPLACE", "replace")):
            # EXCEPT is also a set operation: then SELECT follows.
            if self._curr.text.upper() == word and self._next.token_type != TokenType.SELECT:
                self._advance()
                star.set(key, self._list_or_tuple(self._parse_expression))
        return star

    def _list_or_tuple(self, method: Callable[[], exp.Expr | None]) -> exp.Expr:
        """Read a list with or without brackets."""
        if self._match(TokenType.L_PAREN):
            members: exp.Expr = exp.Tuple(expressions=self._parse_csv(method))
            self._match_r_paren()
            return members
        return Listed(expressions=self._parse_csv(method))

    def _negate_range(self, this: exp.Expr | None = None) -> exp.Expr | None:
        if this is not None:
            this.set("negate", True)
        return this

    def _build_predicate(self, klass: Any, this: Any, expression: Any, *_args: Any, **_kwargs: Any) -> exp.Expr:
        built: exp.Expr = klass(this=this, expression=expression)
        return built

    def _parse_is(self, this: exp.Expr | None) -> exp.Expr | None:
        """`IS [NOT] NULL` and `IS [NOT] DISTINCT FROM x`."""
        is_negative = bool(self._match(TokenType.NOT))
        if self._match_text_seq("DISTINCT", "FROM"):
            return exp.NullSafeNEQ(this=this, expression=self._parse_bitwise(), negate=is_negative)
        if not self._match(TokenType.NULL):
            self.raise_error("Expected NULL after IS")
        return exp.Is(this=this, expression=exp.Null(), negate=is_negative)

    def _parse_between(self, this: exp.Expr | None) -> exp.Between:
        low = self._parse_bitwise()
        self._match(TokenType.AND)
        return exp.Between(this=this, low=low, high=self._parse_bitwise())

    def _parse_in(self, this: exp.Expr | None, alias: bool = False) -> exp.In:  # noqa: ARG002  sqlglot's signature
        """`IN (…)`, and IN followed by a table, an array, a call or a value without brackets of its own."""
        if not self._match(TokenType.L_PAREN):
            field = self._parse_unary()
            if not field:
                self.raise_error("Expected something behind IN")
            return exp.In(this=this, field=field)
        members = self._parse_csv(self._parse_select_or_expression)
        self._match_r_paren()
        return exp.In(this=this, expressions=members)

    def _parse_global_in(self, this: exp.Expr | None) -> exp.In:
        is_negative = bool(self._match(TokenType.NOT))
        if not self._match(TokenType.IN):
            self.raise_error("Expected IN after GLOBAL")
        found = self._parse_in(this)
        found.set("is_global", True)
        found.set("negate", is_negative)
        return found

    # ---- tables and clauses ----

    def _parse_select_query(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        is_from_first = self._curr.token_type == TokenType.FROM
        query = super()._parse_select_query(*args, **kwargs)
        if is_from_first and isinstance(query, exp.Select):
            query.set("from_first", True)
        return query

    def _parse_derived_table_values(self, *_args: Any, **_kwargs: Any) -> None:
        """VALUES is a table function here."""

    def _parse_table(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        table = super()._parse_table(*args, **kwargs)
        if isinstance(table, exp.Final):
            table = table.this
            table.set("final", True)
            if self._curr.token_type == TokenType.TABLE_SAMPLE:
                table.set("sample", self._parse_table_sample())
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

    def _parse_join(self, *_args: Any, alias_tokens: Any = None, **_kwargs: Any) -> Any:
        """Read one join, and no join inside it: sqlglot's own tries again for each, in exponential time."""
        if self._match(TokenType.COMMA):
            return CommaJoined(this=self._parse_table(alias_tokens=alias_tokens))
        index, kinds = self._index, []
        while self._curr.text.upper() in (*_JOIN_WORDS, "ARRAY") and self._curr.token_type != TokenType.IDENTIFIER:
            kinds.append(self._word())
        if not self._match(TokenType.JOIN):
            self._retreat(index)
            return None
        if any(kind.name == "ARRAY" for kind in kinds):
            return ArrayJoined(kinds=kinds, expressions=self._parse_csv(self._parse_expression))
        join = Joined(kinds=kinds, this=self._parse_table(alias_tokens=alias_tokens))
        if self._match(TokenType.ON):
            join.set("on", self._parse_assignment())
        elif self._match(TokenType.USING):
            join.set("using", self._list_or_tuple(self._parse_id_var))
        return join

    def _parse_ordered(self, parse_method: Any = None) -> exp.Ordered | None:
        """`x [ASC | DESC] [NULLS FIRST | LAST] [WITH FILL …]`; a COLLATE has been read as an operator."""
        if self._curr.token_type == TokenType.ALL:
            this: exp.Expr | None = self._word()
        else:
            this = parse_method() if parse_method else self._parse_assignment()
        if not this:
            return None
        ordered = exp.Ordered(this=this)
        if not self._match(TokenType.ASC):
            ordered.set("desc", self._match(TokenType.DESC))
        for place in ("FIRST", "LAST"):
            if self._match_text_seq("NULLS", place):
                ordered.set(f"nulls_{place.lower()}", True)
        if self._match_text_seq("WITH", "FILL"):
            fill = exp.WithFill()
            for word, key in (("FROM", "from_"), ("TO", "to"), ("STEP", "step"), ("STALENESS", "staleness")):
                if self._match_text_seq(word):
                    fill.set(key, self._parse_bitwise())
            if self._match_text_seq("INTERPOLATE"):
                fill.set("interpolate", exp.Tuple(expressions=self._parse_wrapped_csv(self._parse_filled)))
            ordered.set("with_fill", fill)
        return ordered

    def _parse_filled(self) -> exp.Expr:
        column = self._parse_id_var()
        return Filled(this=column, expression=self._parse_assignment() if self._match(TokenType.ALIAS) else None)

    def _parse_limit_clause(self) -> tuple[str, exp.Expr]:
        self._advance()
        limit = LimitClause(expression=self._parse_term())
        if self._match(TokenType.COMMA):
            limit.set("skip", limit.expression)
            limit.set("expression", self._parse_term())
        elif self._match(TokenType.OFFSET):
            limit.set("offset", self._parse_term())
        if self._match_text_seq("BY"):
            limit.set("by", Listed(expressions=self._parse_csv(self._parse_expression)))
            return "limit_by", limit
        limit.set("with_ties", bool(self._match_text_seq("WITH", "TIES")))
        # Not "limit": what sqlglot does with that key is meant for its own node.
        return "limit_clause", limit

    def _parse_offset_clause(self) -> tuple[str, exp.Expr]:
        self._advance()
        offset = OffsetClause(expression=self._parse_term())
        if self._curr.text.upper() in ("ROW", "ROWS"):
            offset.set("unit", self._word())
        return "offset_clause", offset

    def _parse_fetch_clause(self) -> tuple[str, exp.Expr]:
        self._advance()
        fetch = FetchClause(this=self._word(), expression=self._parse_primary(), unit=self._word())
        if not self._match_text_seq("ONLY"):
            fetch.set("with_ties", bool(self._match_text_seq("WITH", "TIES")))
        return "fetch_clause", fetch
