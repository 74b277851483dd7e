"""Render: a tree back to SQL, one token for one token.

Every identifier is quoted, so no name can be read as a keyword; every string is escaped again; comments are gone. What is
not in the table at the end is refused, as is any part of a node its entry does not write, so a construct nobody thought
about cannot pass. `check_same` then compares the tokens written with the tokens read: the text we send is the text we
were given, but for optional words. What sqlglot reads wrongly is thereby refused instead of answered wrongly.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from gateway.core.errors import InvalidRequest
from gateway.query.dialect import DoubleColon, LimitBy, Positive, Spelled, TypedLiteral, TypeName
from gateway.schema.names import quote_identifier, quote_string

_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_HEX: Final = re.compile(r"[0-9A-Fa-f_]+")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Not keywords of the engine but numbers, which they would not be in backticks.
_NAMED_NUMBERS: Final = frozenset({"inf", "nan", "infinity"})

# Words that may be there or not without changing what is meant.
_OPTIONAL: Final = frozenset({"AS", ";", "ASC"})

_FRAME_WORDS: Final = frozenset({"UNBOUNDED", "CURRENT ROW", "PRECEDING", "FOLLOWING", "ROWS", "RANGE", "GROUPS"})

# The text is kept close to how people write it: in `[1, 2]::Array(UInt8)` the engine takes the text itself for a value.
_TIGHT_AFTER: Final = frozenset("([.{")
_TIGHT_BEFORE: Final = frozenset({",", ")", "]", "}", ".", "::"})

_TEXT_OF_KIND: Final = {
    TokenType.L_PAREN: "(", TokenType.R_PAREN: ")", TokenType.NEQ: "!=", TokenType.EQ: "=", TokenType.SEMICOLON: ";",
}  # fmt: skip


def render(tree: exp.Expr) -> str:
    """Return the SQL of `tree`.

    Raises:
        InvalidRequest: something in it is not known to be harmless.
    """
    parts: list[str] = []
    before = "("
    for text, _ in _written(tree):
        if text:
            parts.append(text if before[-1] in _TIGHT_AFTER or text in _TIGHT_BEFORE else " " + text)
            before = text
    return "".join(parts)


def check_same(tree: exp.Expr, tokens: list[Token]) -> None:
    """Raise unless what `render` writes is, token for token, what `tree` was read from.

    Raises:
        InvalidRequest: it is not; or something in the tree is not known to be harmless.
    """
    before = [key for token in tokens for key in _keys(token) if key not in _OPTIONAL]
    after = [key for _, key in _written(tree) if key not in _OPTIONAL]
    if before == after:
        return
    place = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(after))
    near = " ".join(before[max(0, place - 3) : place + 3]).lower()
    raise InvalidRequest(f"[Error] Syntax error: this form of query is not supported, near {near[:80]!r}")


def _keys(token: Token) -> list[str]:
    """Return what `token` is, in the form `_Writer` notes what it writes."""
    kind, text = token.token_type, token.text
    if kind in (TokenType.STRING, TokenType.HEREDOC_STRING):
        return ["'" + text]
    if kind == TokenType.HEX_STRING:
        return ["0x" + text.upper()]
    if kind == TokenType.BIT_STRING:
        return ["0b" + text]
    if kind in _TEXT_OF_KIND:
        return [_TEXT_OF_KIND[kind]]
    return [text.upper()] if kind == TokenType.IDENTIFIER else text.upper().split()


class _Writer:
    """Collects tokens: the text of each, and a key that says what it is whatever its spelling."""

    def __init__(self) -> None:
        self.tokens: list[tuple[str, str]] = []

    def word(self, *words: str) -> None:
        """Write keywords, signs, or the name of a function."""
        self.tokens += [(word, word.upper()) for word in words]

    def name(self, name: str) -> None:
        """Write an identifier, quoted."""
        self.tokens.append((quote_identifier(name), name.upper()))

    def string(self, value: str) -> None:
        """Write a string literal."""
        self.tokens.append((quote_string(value), "'" + value))

    def node(self, node: Any) -> None:
        """Write `node`, if it is of a kind we know and has no part we do not."""
        if isinstance(node, str):
            self.name(node)
            return
        known = _KNOWN.get(type(node))
        if known is None:
            raise InvalidRequest(f"[Error] Syntax error: {_title(node)} is not supported here")
        write, parts = known
        for part, value in node.args.items():
            if part not in parts and value not in (None, False, []):
                raise InvalidRequest(f"[Error] Syntax error: {_title(node)} with {part.strip('_')} is not supported")
        write(self, node)

    def nodes(self, nodes: Iterable[Any]) -> None:
        """Write `nodes` with commas between."""
        for place, node in enumerate(nodes):
            if place:
                self.word(",")
            self.node(node)

    def brackets(self, nodes: Iterable[Any], pair: str = "()") -> None:
        """Write `nodes` between brackets, with commas between."""
        self.word(pair[0])
        self.nodes(nodes)
        self.word(pair[1])

    def clause(self, words: str, node: Any) -> None:
        """Write `words` and `node`, if there is one."""
        if node is not None and node is not False:
            self.word(*words.split())
            self.node(node)


def _title(node: object) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def _written(tree: exp.Expr) -> list[tuple[str, str]]:
    writer = _Writer()
    try:
        writer.node(tree)
    except RecursionError:
        raise InvalidRequest("The query is nested too deeply") from None
    return writer.tokens


# ---- queries ----


def _select(w: _Writer, node: exp.Expr) -> None:
    part = node.args.get
    _optional(w, part("with_"))
    if part("from_first"):
        _from(w, node)
    w.word("SELECT")
    _optional(w, part("distinct"))
    w.nodes(node.expressions)
    if not part("from_first"):
        _from(w, node)
    for key in ("prewhere", "where", "group", "having"):
        _optional(w, part(key))
    if part("windows"):
        w.word("WINDOW")
        w.nodes(part("windows"))
    _optional(w, part("qualify"))
    _modifiers(w, node)


def _from(w: _Writer, node: exp.Expr) -> None:
    _optional(w, node.args.get("from_"))
    for join in node.args.get("joins") or []:
        w.node(join)


def _modifiers(w: _Writer, node: exp.Expr) -> None:
    """Write what may follow any query: order, limits, settings, format."""
    part = node.args.get
    _optional(w, part("order"))
    _optional(w, part("limit_by"))
    for key in ("offset", "limit") if isinstance(part("limit"), exp.Fetch) else ("limit", "offset"):
        _optional(w, part(key))
    for key in [key for key in node.args if key in ("settings", "format")]:  # in the order they were read
        if part(key):
            w.word(key.upper())
            w.nodes(part(key) if key == "settings" else [part(key)])


def _optional(w: _Writer, node: exp.Expr | None) -> None:
    if node:
        w.node(node)


def _union(w: _Writer, node: exp.Expr) -> None:
    _optional(w, node.args.get("with_"))
    operand = node
    later: list[exp.Expr] = []
    while isinstance(operand, exp.SetOperation):
        later.append(operand)
        operand = operand.this
    w.node(operand)
    for union in reversed(later):
        if union is not node and union.args.get("with_"):
            raise InvalidRequest("[Error] Syntax error: WITH inside UNION needs brackets")
        w.word(type(union).__name__.upper())
        if isinstance(union, exp.Union):
            w.word("DISTINCT" if union.args.get("distinct") else "ALL")
        elif union.args.get("distinct"):
            w.word("DISTINCT")
        w.node(union.expression)
        _modifiers(w, union)


def _with(w: _Writer, node: exp.Expr) -> None:
    w.word("WITH")
    if node.args.get("recursive"):
        w.word("RECURSIVE")
    w.nodes(node.expressions)


def _cte(w: _Writer, node: exp.Expr) -> None:
    if node.args.get("scalar"):
        w.node(node.this)
        w.node(node.args["alias"])
        return
    w.name(node.alias)
    w.word("AS")
    w.brackets([node.this])


def _subquery(w: _Writer, node: exp.Expr) -> None:
    _optional(w, node.args.get("with_"))
    w.brackets([node.this])
    _optional(w, node.args.get("alias"))
    _modifiers(w, node)


def _table_alias(w: _Writer, node: exp.Expr) -> None:
    w.word("AS")
    w.node(node.this)


def _table(w: _Writer, node: exp.Expr) -> None:
    if node.args.get("db"):
        w.node(node.args["db"])
        w.word(".")
    w.node(node.this)
    _optional(w, node.args.get("alias"))
    if isinstance(node.parent, exp.Final):
        w.word("FINAL")
    _optional(w, node.args.get("sample"))


def _sample(w: _Writer, node: exp.Expr) -> None:
    w.clause("SAMPLE", node.args.get("size"))
    w.clause("OFFSET", node.args.get("seed"))


def _join(w: _Writer, node: exp.Expr) -> None:
    kind = node.args["kind"]
    if kind == ",":
        w.word(",")
        w.node(node.this)
        return
    w.word(*kind.split(), "JOIN")
    if node.expressions:
        w.nodes(node.expressions)
        return
    w.node(node.this)
    w.clause("ON", node.args.get("on"))
    if node.args.get("using"):
        w.word("USING")
        if node.args.get("method"):
            w.brackets(node.args["using"])
        else:
            w.nodes(node.args["using"])


def _distinct(w: _Writer, node: exp.Expr) -> None:
    w.word("DISTINCT")
    w.clause("ON", node.args.get("on"))
    w.nodes(node.expressions)


def _group(w: _Writer, node: exp.Expr) -> None:
    w.word("GROUP", "BY")
    if node.args.get("all"):
        w.word("ALL")
    w.nodes(node.expressions)
    for key in ("rollup", "cube"):
        if node.args.get(key):
            w.word("WITH", key.upper())
    if node.args.get("totals"):
        w.word("WITH", "TOTALS")


def _grouping(word: str) -> Callable[[_Writer, exp.Expr], None]:
    def write(w: _Writer, node: exp.Expr) -> None:
        w.word(*word.split())
        w.brackets(node.expressions)

    return write


def _ordered(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    if node.args.get("desc"):
        w.word("DESC")
    if node.args.get("nulls_first"):
        w.word("NULLS", "FIRST" if node.args["nulls_first"] == "FIRST" else "LAST")
    _optional(w, node.args.get("with_fill"))


def _with_fill(w: _Writer, node: exp.Expr) -> None:
    w.word("WITH", "FILL")
    for word, key in (("FROM", "from_"), ("TO", "to"), ("STEP", "step"), ("STALENESS", "staleness")):
        w.clause(word, node.args.get(key))
    if node.args.get("interpolate"):
        w.word("INTERPOLATE", "(")
        for place, column in enumerate(node.args["interpolate"]):
            w.word(*([","] if place else []))
            w.node(column.args["alias"] if isinstance(column, exp.Alias) else column)
            w.clause("AS", column.this if isinstance(column, exp.Alias) else None)
        w.word(")")


def _limit(w: _Writer, node: exp.Expr) -> None:
    w.word("LIMIT")
    offset, comma = node.this or node.args.get("offset"), node.args.get("comma")
    if offset and comma:
        w.node(offset)
        w.word(",")
    w.node(node.expression)
    if offset and not comma:
        w.clause("OFFSET", offset)
    _optional(w, node.args.get("limit_options"))
    if isinstance(node, LimitBy):
        w.word("BY")
        w.nodes(node.expressions)


def _limit_options(w: _Writer, node: exp.Expr) -> None:
    if node.args.get("rows"):
        w.word("ROWS", "ONLY")
    if node.args.get("with_ties"):
        w.word("WITH", "TIES")


def _fetch(w: _Writer, node: exp.Expr) -> None:
    w.word("FETCH", node.args["direction"])
    w.node(node.args["count"])
    _optional(w, node.args.get("limit_options"))


def _offset(w: _Writer, node: exp.Expr) -> None:
    w.clause("OFFSET", node.expression)
    if node.parent and isinstance(node.parent.args.get("limit"), exp.Fetch):
        w.word("ROWS")


# ---- expressions ----


def _chain(w: _Writer, node: exp.Expr) -> None:
    """Write a chain of operators, which is as deep on the left as it is long, without recursion."""
    links = []
    left: Any = node
    while type(left) in _SIGNS:
        links.append(left)
        left = left.this
    w.node(left)
    for link in reversed(links):
        negate, sign = link.args.get("negate"), _SIGNS[type(link)]
        if negate:
            w.word("NOT")
        w.word(*sign.split())
        w.node(link.expression)


def _prefix(word: str) -> Callable[[_Writer, exp.Expr], None]:
    def write(w: _Writer, node: exp.Expr) -> None:
        w.word(word)
        w.node(node.this)

    return write


def _minus(w: _Writer, node: exp.Expr) -> None:
    """Write the sign close to a number, as `-1::Int8` is a number for the engine, and far from another sign."""
    place = len(w.tokens)
    w.word("-")
    w.node(node.this)
    text, key = w.tokens[place + 1]
    if text[:1].isdecimal():
        w.tokens[place : place + 2] = [("-" + text, "-"), ("", key)]


def _clause(words: str) -> Callable[[_Writer, exp.Expr], None]:
    def write(w: _Writer, node: exp.Expr) -> None:
        w.clause(words, node.this)

    return write


def _in(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    if node.args.get("is_global"):
        w.word("GLOBAL")
    if node.args.get("negate"):
        w.word("NOT")
    w.word("IN")
    if node.args.get("field"):
        w.node(node.args["field"])
    else:
        w.brackets(node.expressions)


def _between(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    if node.args.get("negate"):
        w.word("NOT")
    w.clause("BETWEEN", node.args["low"])
    w.clause("AND", node.args["high"])


def _is_null(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    w.word("IS", *(["NOT"] if node.args.get("negate") else []), "NULL")


def _distinct_from(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    w.word("IS", *(["NOT"] if node.args.get("negate") else []), "DISTINCT", "FROM")
    w.node(node.expression)


def _identifier(w: _Writer, node: exp.Expr) -> None:
    if not node.args.get("quoted") and node.name.lower() in _NAMED_NUMBERS:
        w.word(node.name)
    else:
        w.name(node.name)


def _column(w: _Writer, node: exp.Expr) -> None:
    for key in ("catalog", "db", "table"):
        if node.args.get(key):
            w.node(node.args[key])
            w.word(".")
    w.node(node.this)


def _dotted(sign: str) -> Callable[[_Writer, exp.Expr], None]:
    def write(w: _Writer, node: exp.Expr) -> None:
        w.node(node.this)
        w.word(sign)
        w.node(node.expression)

    return write


def _json_cast(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    w.word(".:")
    w.node(node.args["to"])


def _star(w: _Writer, node: exp.Expr) -> None:
    w.word("*")
    for key in ("except_", "replace"):
        if node.args.get(key):
            w.word(key.strip("_").upper())
            if node.args.get(key + "brackets"):
                w.brackets(node.args[key])
            else:
                w.nodes(node.args[key])


def _literal(w: _Writer, node: exp.Expr) -> None:
    if node.args.get("is_string"):
        w.string(node.this)
    elif _NUMBER.fullmatch(node.this):
        w.word(node.this)
    else:
        raise InvalidRequest(f"[Error] Syntax error: {node.this[:40]!r} is not a number")


def _based(prefix: str) -> Callable[[_Writer, exp.Expr], None]:
    def write(w: _Writer, node: exp.Expr) -> None:
        if not _HEX.fullmatch(node.this):
            raise InvalidRequest("[Error] Syntax error: this is not a number")
        w.tokens.append((prefix + node.this, prefix + node.this.upper()))

    return write


def _call(w: _Writer, node: exp.Expr) -> None:
    w.tokens += [(node.name + "(", node.name.upper()), ("", "(")]
    w.nodes(node.expressions)
    w.word(")")
    if isinstance(node, exp.ParameterizedAgg):
        w.brackets(node.args.get("params") or [])


def _spelled(w: _Writer, node: exp.Expr) -> None:
    w.word(node.name, "(")
    for part in node.expressions:
        w.node(part)
    w.word(")")


def _cast(w: _Writer, node: exp.Expr) -> None:
    w.word("CAST", "(")
    w.node(node.this)
    w.clause("AS", node.args["to"])
    w.word(")")


def _type(w: _Writer, node: exp.Expr) -> None:
    """Write what the reader made of words, numbers and quoted strings."""
    first, *others = node.args["keys"]
    w.tokens += [(node.this, first), *(("", key) for key in others)]


def _word_of_ours(w: _Writer, node: exp.Expr) -> None:
    assert _WORD.fullmatch(node.this), node.this
    w.word(node.this)


def _alias(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    w.word("AS")
    w.node(node.args["alias"])


def _apply(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    w.word("APPLY")
    w.brackets([node.expression])


def _lambda(w: _Writer, node: exp.Expr) -> None:
    names = node.expressions
    if node.args.get("brackets") or len(names) != 1:
        w.brackets(names)
    else:
        w.node(names[0])
    w.word("->")
    w.node(node.this)


def _case(w: _Writer, node: exp.Expr) -> None:
    w.word("CASE")
    _optional(w, node.this)
    for branch in node.args["ifs"]:
        w.clause("WHEN", branch.this)
        w.clause("THEN", branch.args["true"])
    w.clause("ELSE", node.args.get("default"))
    w.word("END")


def _ternary(w: _Writer, node: exp.Expr) -> None:
    w.node(node.this)
    w.clause("?", node.args["true"])
    w.clause(":", node.args["false"])


def _interval(w: _Writer, node: exp.Expr) -> None:
    w.word("INTERVAL")
    w.node(node.this)
    _optional(w, node.args.get("unit"))


def _window(w: _Writer, node: exp.Expr) -> None:
    part = node.args.get
    w.node(node.this)
    w.word("OVER" if part("over") else "AS")
    if (
        part("over")
        and part("alias")
        and not (part("partition_by") or part("order") or part("spec") or part("brackets"))
    ):
        w.node(part("alias"))
        return
    w.word("(")
    _optional(w, part("alias"))
    if part("partition_by"):
        w.word("PARTITION", "BY")
        w.nodes(part("partition_by"))
    _optional(w, part("order"))
    _optional(w, part("spec"))
    w.word(")")


def _frame(w: _Writer, node: exp.Expr) -> None:
    part = node.args.get
    w.word(_frame_word(part("kind")))
    if part("end"):
        w.word("BETWEEN")
    for edge in ("start", "end"):
        value, side = part(edge), part(edge + "_side")
        if edge == "end" and value:
            w.word("AND")
        if isinstance(value, str):
            w.word(*_frame_word(value).split())
        elif value is not None:
            w.node(value)
        if side:
            w.word(_frame_word(side))


def _frame_word(text: str) -> str:
    if text.upper() not in _FRAME_WORDS:
        raise InvalidRequest("[Error] Syntax error: this window frame is not supported")
    return text.upper()


def _suffix(words: str) -> Callable[[_Writer, exp.Expr], None]:
    def write(w: _Writer, node: exp.Expr) -> None:
        w.node(node.this)
        w.word(*words.split())

    return write


def _placeholder(w: _Writer, node: exp.Expr) -> None:
    w.word("{", node.this, ":")
    w.node(node.args["kind"])
    w.word("}")


_SIGNS: Final[dict[type, str]] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.IntDiv: "DIV", exp.DPipe: "||",
    exp.And: "AND", exp.Or: "OR", exp.EQ: "=", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
    exp.NullSafeEQ: "<=>", exp.Like: "LIKE", exp.ILike: "ILIKE", exp.RegexpLike: "REGEXP", exp.Collate: "COLLATE",
}  # fmt: skip

_QUERY: Final = ("with_", "limit", "offset", "order", "limit_by", "settings", "format")

# What may be written, how, and which parts of it. Anything else is refused.
_KNOWN: Final[dict[type, tuple[Callable[[_Writer, Any], None], frozenset[str]]]] = {
    kind: (write, frozenset(parts))
    for kind, write, *parts in [
        (exp.Select, _select, "distinct", "expressions", "from_", "joins", "prewhere", "where", "group", "having",
         "windows", "qualify", "from_first", *_QUERY),
        (exp.Union, _union, "this", "expression", "distinct", *_QUERY),
        (exp.Except, _union, "this", "expression", "distinct", *_QUERY),
        (exp.Intersect, _union, "this", "expression", "distinct", *_QUERY),
        (exp.Subquery, _subquery, "this", "alias", *_QUERY),
        (exp.With, _with, "expressions", "recursive"),
        (exp.CTE, _cte, "this", "alias", "scalar"),
        (exp.TableAlias, _table_alias, "this"),
        (exp.From, _clause("FROM"), "this"),
        (exp.Table, _table, "this", "db", "alias", "sample"),
        (exp.Final, lambda w, node: w.node(node.this), "this"),
        (exp.TableSample, _sample, "size", "seed"),
        (exp.Join, _join, "this", "kind", "on", "using", "method", "expressions"),
        (exp.Distinct, _distinct, "on", "expressions"),
        (exp.PreWhere, _clause("PREWHERE"), "this"),
        (exp.Where, _clause("WHERE"), "this"),
        (exp.Having, _clause("HAVING"), "this"),
        (exp.Qualify, _clause("QUALIFY"), "this"),
        (exp.Group, _group, "all", "expressions", "rollup", "cube", "totals"),
        (exp.Rollup, _grouping("ROLLUP"), "expressions"),
        (exp.Cube, _grouping("CUBE"), "expressions"),
        (exp.GroupingSets, _grouping("GROUPING SETS"), "expressions"),
        (exp.Order, lambda w, node: (w.word("ORDER", "BY"), w.nodes(node.expressions)), "expressions"),
        (exp.Ordered, _ordered, "this", "desc", "nulls_first", "with_fill"),
        (exp.WithFill, _with_fill, "from_", "to", "step", "staleness", "interpolate"),
        (exp.Limit, _limit, "this", "expression", "offset", "limit_options", "comma"),
        (LimitBy, _limit, "expression", "offset", "expressions", "comma"),
        (exp.LimitOptions, _limit_options, "rows", "with_ties"),
        (exp.Fetch, _fetch, "direction", "count", "limit_options"),
        (exp.Offset, _offset, "expression"),
        *((sign, _chain, "this", "expression", "negate", "typed", "safe") for sign in _SIGNS),
        (exp.Not, _prefix("NOT"), "this"),
        (exp.Neg, _minus, "this"),
        (Positive, _prefix("+"), "this"),
        (exp.Paren, lambda w, node: w.brackets([node.this]), "this"),
        (exp.Tuple, lambda w, node: w.brackets(node.expressions), "expressions"),
        (exp.Array, lambda w, node: w.brackets(node.expressions, "[]"), "expressions"),
        (exp.Bracket, lambda w, node: (w.node(node.this), w.brackets(node.expressions, "[]")), "this", "expressions"),
        (exp.In, _in, "this", "expressions", "field", "is_global", "negate"),
        (exp.Between, _between, "this", "low", "high", "negate"),
        (exp.Is, _is_null, "this", "expression", "negate"),
        (exp.NullSafeNEQ, _distinct_from, "this", "expression", "negate"),
        (exp.Exists, lambda w, node: (w.word("EXISTS"), w.brackets([node.this])), "this"),
        (exp.Any, lambda w, node: (w.word("ANY"), w.brackets([node.this])), "this"),
        (exp.All, lambda w, node: (w.word("ALL"), w.brackets([node.this])), "this"),
        (exp.Identifier, _identifier, "this", "quoted"),
        (exp.Column, _column, "this", "table", "db", "catalog"),
        (exp.Dot, _dotted("."), "this", "expression"),
        (exp.NestedJSONSelect, _dotted(".^"), "this", "expression"),
        (exp.JSONCast, _json_cast, "this", "to"),
        (exp.Star, _star, "except_", "except_brackets", "replace", "replacebrackets"),
        (exp.Apply, _apply, "this", "expression"),
        (exp.Literal, _literal, "this", "is_string"),
        (exp.RawString, lambda w, node: w.string(node.this), "this"),
        (exp.HexString, _based("0x"), "this", "is_integer"),
        (exp.BitString, _based("0b"), "this"),
        (exp.Null, lambda w, _: w.word("NULL")),
        (exp.Boolean, lambda w, node: w.word("true" if node.this else "false"), "this"),
        (exp.Anonymous, _call, "this", "expressions"),
        (exp.ParameterizedAgg, _call, "this", "expressions", "params"),
        (Spelled, _spelled, "this", "expressions"),
        (exp.Cast, _cast, "this", "to"),
        (DoubleColon, lambda w, node: (w.node(node.this), w.clause("::", node.args["to"])), "this", "to"),
        (TypedLiteral, lambda w, node: (w.word(node.this), w.node(node.expression)), "this", "expression"),
        (TypeName, _type, "this", "keys"),
        (exp.Var, _word_of_ours, "this"),
        (exp.Alias, _alias, "this", "alias"),
        (exp.Lambda, _lambda, "this", "expressions", "brackets"),
        (exp.Case, _case, "this", "ifs", "default"),
        (exp.If, _ternary, "this", "true", "false"),
        (exp.Interval, _interval, "this", "unit"),
        (exp.Window, _window, "this", "alias", "over", "partition_by", "order", "spec"),
        (exp.WindowSpec, _frame, "kind", "start", "start_side", "end", "end_side"),
        (exp.Filter, lambda w, node: (w.node(node.this), w.word("FILTER"), w.brackets([node.expression])),
         "this", "expression"),
        (exp.IgnoreNulls, _suffix("IGNORE NULLS"), "this"),
        (exp.RespectNulls, _suffix("RESPECT NULLS"), "this"),
        (exp.Placeholder, _placeholder, "this", "kind"),
    ]
}  # fmt: skip
