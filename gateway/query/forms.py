"""Forms: what a query may consist of, and how each of it is written. Anything else is refused.

The tables at the end are an allow-list of constructs: a node that is in neither cannot be rendered, nor can a part of a
node that its form does not mention.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlglot import exp

from gateway.core.errors import InvalidRequest
from gateway.query import nodes
from gateway.query.writer import Form, Writer, form, function
from gateway.schema.names import quote_string

_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_HEX: Final = re.compile(r"[0-9A-Fa-f_]+")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Not names but numbers, which they would not be in backticks.
_NAMED_NUMBERS: Final = frozenset({"inf", "nan", "infinity"})

_FRAME_WORDS: Final = frozenset({"UNBOUNDED", "CURRENT ROW", "PRECEDING", "FOLLOWING", "ROWS", "RANGE", "GROUPS"})


def _select(w: Writer, node: exp.Expr) -> None:
    part = node.args.get
    sources = [part("from_"), *(part("joins") or [])]
    clauses = [part(key) for key in ("prewhere", "where", "group", "having")]
    if part("with_"):
        w.node(node.args["with_"])
    if part("from_first"):
        _all(w, sources)
    if not node.expressions:
        raise InvalidRequest("[Error] Syntax error: SELECT needs at least one expression")
    w.word("SELECT")
    _all(w, [part("distinct")])
    w.nodes(node.expressions)
    _all(w, clauses if part("from_first") else [*sources, *clauses])
    if part("windows"):
        w.word("WINDOW")
        w.nodes(node.args["windows"])
    _all(w, [part("qualify"), part("order")])
    _modifiers(w, node)


def _all(w: Writer, nodes: Iterable[exp.Expr | None]) -> None:
    for node in nodes:
        if node:
            w.node(node)


def _modifiers(w: Writer, node: exp.Expr) -> None:
    """Write what may follow any query, in the order it was read."""
    for key, value in node.args.items():
        if value and key in _MODIFIERS:
            w.word(*([key.upper()] if key in ("settings", "format") else []))
            w.nodes(value if isinstance(value, list) else [value])


def _set_operation(w: Writer, node: exp.Expr) -> None:
    """Write a chain of UNIONs, which is as deep on the left as it is long, without recursion."""
    _all(w, [node.args.get("with_")])
    links: list[exp.Expr] = []
    operand = node
    while isinstance(operand, exp.SetOperation):
        links.append(operand)
        operand = operand.this
    w.node(operand)
    for link in reversed(links):
        if link is not node and link.args.get("with_"):
            raise InvalidRequest("[Error] Syntax error: WITH inside UNION needs brackets")
        w.word(type(link).__name__.upper())
        if link.args.get("distinct"):
            w.word("DISTINCT")
        elif isinstance(link, exp.Union):
            w.word("ALL")
        w.node(link.expression)
        if link is not node:
            _modifiers(w, link)
    _all(w, [node.args.get("order")])
    _modifiers(w, node)


def _subquery(w: Writer, node: exp.Expr) -> None:
    part = node.args.get
    _all(w, [part("with_")])
    w.word("(")
    w.node(node.this)
    w.word(")")
    _all(w, [part("alias"), *(part("joins") or []), part("order")])
    _modifiers(w, node)


def _cte(w: Writer, node: exp.Expr) -> None:
    if node.args.get("scalar"):
        w.node(node.this)
        w.node(node.args["alias"])
        return
    w.name(node.alias)
    w.word("AS", "(")
    w.node(node.this)
    w.word(")")


def _group(w: Writer, node: exp.Expr) -> None:
    part = node.args.get
    if not part("all") and not node.expressions:
        raise InvalidRequest("[Error] Syntax error: GROUP BY needs at least one expression")
    w.word("GROUP", "BY", *(["ALL"] if part("all") else []))
    w.nodes(node.expressions)
    for key in ("rollup", "cube", "totals"):
        if part(key):
            w.word("WITH", key.upper())


def _in(w: Writer, node: exp.Expr) -> None:
    part = node.args.get
    w.node(node.this)
    w.word(*(["GLOBAL"] if part("is_global") else []), *(["NOT"] if part("negate") else []), "IN")
    if part("field"):
        w.node(node.args["field"])
        return
    w.word("(")
    w.nodes(node.expressions)
    w.word(")")


def _chain(w: Writer, node: exp.Expr) -> None:
    """Write a chain of operators, which is as deep on the left as it is long, without recursion."""
    links: list[exp.Expr] = []
    left = node
    while type(left) in _SIGNS:
        links.append(left)
        left = left.this
    w.node(left)
    for link in reversed(links):
        if link.args.get("negate"):
            w.word("NOT")
        w.word(_SIGNS[type(link)])
        w.node(link.expression)


def _minus(w: Writer, node: exp.Expr) -> None:
    """Write the sign close to a number, as `-1::Int8` is a number for the engine, and away from another sign."""
    place = len(w.tokens)
    w.word("-")
    w.node(node.this)
    text, key = w.tokens[place + 1]
    if text[:1].isdecimal():
        w.tokens[place : place + 2] = [("-" + text, "-"), ("", key)]


def _identifier(w: Writer, node: exp.Expr) -> None:
    if "." in node.name and not node.args.get("quoted"):
        raise InvalidRequest(
            f"[Error] Syntax error: {node.name[:40]!r} is not a name; write tupleElement for parts of a tuple"
        )
    if not node.args.get("quoted") and node.name.lower() in _NAMED_NUMBERS:
        w.word(node.name)
    else:
        w.name(node.name)


def _literal(w: Writer, node: exp.Expr) -> None:
    if node.args.get("is_string"):
        w.tokens.append((quote_string(node.this), "'" + node.this))
    elif _NUMBER.fullmatch(node.this):
        w.word(node.this)
    else:
        raise InvalidRequest(f"[Error] Syntax error: {node.this[:40]!r} is not a number")


def _based(prefix: str) -> Callable[[Writer, Any], None]:
    def write(w: Writer, node: exp.Expr) -> None:
        if not _HEX.fullmatch(node.this):
            raise InvalidRequest("[Error] Syntax error: this is not a number")
        w.tokens.append((prefix + node.this, prefix + node.this.upper()))

    return write


def _call(w: Writer, node: exp.Expr) -> None:
    name = node.this
    if isinstance(name, exp.Identifier):
        w.node(name)
        w.word("(")
    else:
        w.opening(name)
    w.nodes(node.expressions)
    w.word(")")
    if isinstance(node, exp.ParameterizedAgg):
        w.word("(")
        w.nodes(node.args.get("params") or [])
        w.word(")")


def _spelled(w: Writer, node: exp.Expr) -> None:
    w.opening(node.name)
    _all(w, node.expressions)
    w.word(")")


def _cast(w: Writer, node: exp.Expr) -> None:
    w.opening("CAST")
    w.node(node.this)
    w.word("AS")
    w.node(node.args["to"])
    w.word(")")


def _json_cast(w: Writer, node: exp.Expr) -> None:
    """Write `path.:Type`, and `path[]`, which sqlglot takes for a cast to an array of JSON."""
    to = node.args["to"]
    if not isinstance(node.this, (exp.Column, exp.Dot)):
        raise InvalidRequest("[Error] Syntax error: only a path of a JSON column has parts of a type")
    w.node(node.this)
    while isinstance(to, exp.DataType) and to.this == exp.DType.ARRAY and len(to.expressions) == 1:
        w.word("[", "]")
        to = to.expressions[0]
    if isinstance(to, exp.DataType) and to.this == exp.DType.JSON:
        return
    if not isinstance(to, nodes.TypeName) or len(to.args["keys"]) > 1:
        raise InvalidRequest("[Error] Syntax error: write the type behind .: in backticks")
    w.word(".:")
    w.node(node.args["to"])


def _type(w: Writer, node: exp.Expr) -> None:
    """Write what the grammar made of words, numbers and quoted strings."""
    first, *others = node.args["keys"]
    w.tokens += [(node.this, first), *(("", key) for key in others)]


def _word(w: Writer, node: exp.Expr) -> None:
    if not _WORD.fullmatch(node.this):
        raise InvalidRequest(f"[Error] Syntax error: {node.this[:40]!r} is not a word")
    w.word(node.this)


def _fetch(w: Writer, node: exp.Expr) -> None:
    w.word("FETCH")
    _all(w, [node.this, node.expression, node.args["unit"]])
    w.word(*(["WITH", "TIES"] if node.args.get("with_ties") else ["ONLY"]))


def _lambda(w: Writer, node: exp.Expr) -> None:
    has_brackets = node.args.get("brackets") or len(node.expressions) != 1
    w.word(*(["("] if has_brackets else []))
    w.nodes(node.expressions)
    w.word(*([")"] if has_brackets else []), "->")
    w.node(node.this)


def _window(w: Writer, node: exp.Expr) -> None:
    part = node.args.get
    w.node(node.this)
    w.word("OVER" if part("over") else "AS")
    if part("over") and part("alias") and not (part("partition_by") or part("order") or part("spec")):
        w.node(node.args["alias"])
        return
    w.word("(")
    _all(w, [part("alias")])
    if part("partition_by"):
        w.word("PARTITION", "BY")
        w.nodes(node.args["partition_by"])
    _all(w, [part("order"), part("spec")])
    w.word(")")


def _frame(w: Writer, node: exp.Expr) -> None:
    part = node.args.get
    w.word(_frame_word(part("kind")), *(["BETWEEN"] if part("end") else []))
    for edge, link in (("start", []), ("end", ["AND"])):
        value, side = part(edge), part(edge + "_side")
        w.word(*(link if value else []))
        if isinstance(value, str):
            w.word(*_frame_word(value).split())
        elif value:
            w.node(value)
        w.word(*([_frame_word(side)] if side else []))


def _frame_word(text: Any) -> str:
    word = str(text).upper()
    if word not in _FRAME_WORDS:
        raise InvalidRequest("[Error] Syntax error: this window frame is not supported")
    return word


# ---- the table: what may be written, and how; anything else is refused ----

_SIGNS: Final[dict[type, str]] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.IntDiv: "DIV", exp.DPipe: "||",
    exp.And: "AND", exp.Or: "OR", exp.EQ: "=", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
    exp.NullSafeEQ: "<=>", exp.Like: "LIKE", exp.ILike: "ILIKE", exp.RegexpLike: "REGEXP", exp.Collate: "COLLATE",
}  # fmt: skip

_MODIFIERS: Final = ("limit_by", "limit_clause", "offset_clause", "fetch_clause", "settings", "format")
_QUERY: Final = "with_ order " + " ".join(_MODIFIERS)

_FORMS: Final[dict[type, str]] = {
    exp.With: "WITH recursive:RECURSIVE expressions,",
    exp.TableAlias: "AS this",
    exp.From: "FROM this",
    exp.Table: "db>. this alias? final:FINAL sample? joins*",
    exp.TableSample: "SAMPLE=size OFFSET=seed",
    nodes.Joined: "kinds* JOIN this ON=on USING=using",
    nodes.CommaJoined: ", this",
    nodes.ArrayJoined: "kinds* JOIN expressions,",
    nodes.Listed: "expressions,",
    exp.Distinct: "DISTINCT ON=on expressions,?",
    exp.PreWhere: "PREWHERE this",
    exp.Where: "WHERE this",
    exp.Rollup: "ROLLUP (expressions)",
    exp.Cube: "CUBE (expressions)",
    exp.GroupingSets: "GROUPING SETS (expressions)",
    exp.Having: "HAVING this",
    exp.Qualify: "QUALIFY this",
    exp.Order: "ORDER BY expressions,",
    exp.Ordered: "this desc:DESC nulls_first:NULLS_FIRST nulls_last:NULLS_LAST with_fill?",
    exp.WithFill: "WITH FILL FROM=from_ TO=to STEP=step STALENESS=staleness INTERPOLATE=interpolate",
    nodes.Filled: "this AS=expression",
    nodes.LimitClause: "LIMIT skip>, expression OFFSET=offset BY=by with_ties:WITH_TIES",
    nodes.OffsetClause: "OFFSET expression unit?",
    exp.Not: "NOT this",
    nodes.Positive: "+ this",
    exp.Paren: "( this )",
    exp.Tuple: "( expressions,? )",
    exp.Array: "[ expressions,? ]",
    exp.Bracket: "this [ expressions, ]",
    exp.Between: "this negate:NOT BETWEEN low AND high",
    exp.Is: "this IS negate:NOT NULL ~expression",
    exp.NullSafeNEQ: "this IS negate:NOT DISTINCT FROM expression",
    exp.Exists: "EXISTS ( this )",
    exp.Any: "ANY ( this )",
    exp.All: "ALL ( this )",
    exp.Column: "catalog>. db>. table>. this",
    exp.Dot: "this . expression",
    exp.NestedJSONSelect: "this .^ expression",
    exp.Star: "* EXCEPT=except_ REPLACE=replace",
    exp.Apply: "this APPLY ( expression )",
    exp.Null: "NULL",
    nodes.DoubleColon: "this :: to",
    nodes.TypedLiteral: "this expression",
    nodes.QueryParameter: "{ this : kind }",
    exp.Alias: "this AS alias",
    exp.Case: "CASE this? ifs* ELSE=default END",
    exp.If: "WHEN this THEN true",
    nodes.Ternary: "this ? true : false",
    exp.Interval: "INTERVAL this unit?",
    exp.Filter: "this FILTER ( expression )",
    exp.IgnoreNulls: "this IGNORE NULLS",
    exp.RespectNulls: "this RESPECT NULLS",
}

_FUNCTIONS: Final[dict[type, tuple[Callable[[Writer, Any], None], str]]] = {
    exp.Select: (
        _select,
        f"distinct expressions from_ joins prewhere where group having windows qualify from_first {_QUERY}",
    ),
    exp.Union: (_set_operation, f"this expression distinct {_QUERY}"),
    exp.Except: (_set_operation, f"this expression distinct {_QUERY}"),
    exp.Intersect: (_set_operation, f"this expression distinct {_QUERY}"),
    exp.Subquery: (_subquery, f"this alias joins {_QUERY}"),
    exp.CTE: (_cte, "this alias scalar"),
    exp.Group: (_group, "all expressions rollup cube totals"),
    exp.In: (_in, "this is_global negate field expressions"),
    nodes.FetchClause: (_fetch, "this expression unit with_ties"),
    exp.JSONCast: (_json_cast, "this to"),
    exp.Neg: (_minus, "this"),
    exp.Identifier: (_identifier, "this quoted"),
    exp.Literal: (_literal, "this is_string"),
    exp.RawString: (lambda w, node: w.tokens.append((quote_string(node.this), "'" + node.this)), "this"),
    exp.HexString: (_based("0x"), "this is_integer"),
    exp.BitString: (_based("0b"), "this"),
    exp.Boolean: (lambda w, node: w.word("true" if node.this else "false"), "this"),
    exp.Anonymous: (_call, "this expressions"),
    exp.ParameterizedAgg: (_call, "this expressions params"),
    nodes.Spelled: (_spelled, "this expressions"),
    exp.Cast: (_cast, "this to"),
    nodes.TypeName: (_type, "this keys"),
    exp.Var: (_word, "this"),
    exp.Lambda: (_lambda, "this expressions brackets"),
    exp.Window: (_window, "this alias over partition_by order spec"),
    exp.WindowSpec: (_frame, "kind start start_side end end_side"),
    **dict.fromkeys(_SIGNS, (_chain, "this expression negate typed safe")),
}  # fmt: skip


FORMS: Final[dict[type, Form]] = {
    **{kind: form(text) for kind, text in _FORMS.items()},
    **{kind: function(write, parts) for kind, (write, parts) in _FUNCTIONS.items()},
}
