"""Nodes: what ClickHouse can say that sqlglot has no node for, or one that forgets how it was said."""

from typing import ClassVar

from sqlglot import exp


class DoubleColon(exp.Expression):
    """`this::to`, kept apart from CAST because the engine names the two columns differently."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "to": True}


class Ternary(exp.Expression):
    """`this ? true : false`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "true": True, "false": True}


class Positive(exp.Expression):
    """`+this`."""


class Spelled(exp.Expression):
    """A call with words inside, `this(expressions…)`; an `exp.Var` among them is a word: `EXTRACT(YEAR FROM x)`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expressions": True}


class TypedLiteral(exp.Expression):
    """`DATE '2024-01-01'`; `this` is the word."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True}


class TypeName(exp.Expression):
    """A type, `this`, as it will be written; `keys` are its tokens as `render` compares them."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "keys": True}


class QueryParameter(exp.Expression):
    """`{this:kind}`; `this` is a word."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": True}


class Listed(exp.Expression):
    """A list where brackets were left out: `USING a, b`, `* EXCEPT a`."""

    arg_types: ClassVar[dict[str, bool]] = {"expressions": True}


class Filled(exp.Expression):
    """`this AS expression` in INTERPOLATE, where the column comes first."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": False}


class Joined(exp.Expression):
    """`kinds… JOIN this ON on`, or `USING using`; the kinds are words."""

    arg_types: ClassVar[dict[str, bool]] = {"kinds": False, "this": True, "on": False, "using": False}


class CommaJoined(exp.Expression):
    """`, this`."""


class ArrayJoined(exp.Expression):
    """`kinds… JOIN expressions`."""

    arg_types: ClassVar[dict[str, bool]] = {"kinds": True, "expressions": True}


class LimitClause(exp.Expression):
    """`LIMIT [skip,] expression [OFFSET offset] [BY by] [WITH TIES]`."""

    arg_types: ClassVar[dict[str, bool]] = {
        "expression": True,
        "skip": False,
        "offset": False,
        "by": False,
        "with_ties": False,
    }


class OffsetClause(exp.Expression):
    """`OFFSET expression [unit]`; the unit is ROW or ROWS."""

    arg_types: ClassVar[dict[str, bool]] = {"expression": True, "unit": False}


class FetchClause(exp.Expression):
    """`FETCH this expression unit ONLY | WITH TIES`; `this` is FIRST or NEXT."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "expression": True, "unit": True, "with_ties": False}
