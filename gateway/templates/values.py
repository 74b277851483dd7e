"""Values: what an expression may be, and how it is put into SQL.

A value is text, a number, a truth value, None, a list, a tuple, a set, a dict, a range, or one of the kinds below.
Nothing else exists in a template, so there is nothing to reach through.

    Raw             SQL that a function made and that is safe as it is
    TypedNumber     a number that remembers its type, and forgets it in arithmetic
    SqlArray        what `Array(…)` gives
    Missing         a parameter that was not sent
    Lambda          a function of the template's own

Whatever is done to a `Raw` gives plain text, and plain text is always quoted: only functions of this package make it.

Source: templates.md §4.
"""

from collections.abc import Callable
from typing import Any, Final, Self

from gateway.templates.errors import TemplateError

# What stands for a parameter while a template is only checked.
NO_VALUE: Final = "__no_value__"

# Letter for letter the table of the wire. ClickHouse reads `\%` and `\z` back with the backslash: a `%` matches itself
# in LIKE, and `sql_unescape` is for who wants it otherwise.
_ESCAPES: Final = str.maketrans(
    {
        "\0": "\\0",
        "\b": "\\b",
        "\t": "\\t",
        "\n": "\\n",
        "\r": "\\r",
        "\x1a": "\\z",
        '"': '\\"',
        "'": "\\'",
        "\\": "\\\\",
        "%": "\\%",
        "`": "\\`",
    }
)


class Raw(str):
    """SQL that goes into the query as it is."""

    __slots__ = ()


class TypedInt(int):
    """An integer written as `toInt32('5')`."""

    sql_type: str

    def __new__(cls, value: int, sql_type: str) -> Self:
        """Return `value`, to be written with its type."""
        made = super().__new__(cls, value)
        made.sql_type = sql_type
        return made


class TypedFloat(float):
    """A float written as `toFloat64('2.5')`."""

    sql_type: str

    def __new__(cls, value: float, sql_type: str) -> Self:
        """Return `value`, to be written with its type."""
        made = super().__new__(cls, value)
        made.sql_type = sql_type
        return made


class SqlArray(list[Any]):
    """The value of an `Array` parameter: a list, written `[1,2]`."""

    __slots__ = ()


class Missing:
    """A parameter that was not sent. Most uses are an error; `defined`, comparisons with text and tests are not."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or (isinstance(other, Missing) and other.name == self.name)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return repr(NO_VALUE)


class Lambda:
    """A function the template wrote; `call` takes its arguments."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[list[Any]], Any]) -> None:
        self.call = call

    def __repr__(self) -> str:
        return "function"


def quoted(text: str) -> str:
    """Return `text` as a literal."""
    return "'" + text.translate(_ESCAPES) + "'"


def unescaped(text: str, what: str) -> str:
    """Return `text` as a literal in which the characters of `what` stand for themselves.

    Only `%`, a backtick and a double quote can be asked for: none of them ends a literal.
    """
    bare = {ord(char): char for char in what if char in '%`"'}
    return "'" + text.translate({**_ESCAPES, **bare}) + "'"


def to_sql(value: Any, source: str) -> str:
    """Return `value` as SQL.

    Args:
        value: what an expression gave.
        source: the expression, for the error.

    Raises:
        TemplateError: it is null, or nothing SQL has a place for.
    """
    kind = type(value)
    if kind is str:
        return quoted(value)
    if kind is Raw:
        return str(value)
    if kind is TypedInt or kind is TypedFloat:
        return f"to{value.sql_type}('{plain_number(value)}')"
    if kind is SqlArray:
        return "[" + ",".join([_element(item, source) for item in value]) + "]"
    return _element(value, source)


def plain_number(value: float) -> str:
    """Return a number without its type."""
    return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)


def _element(value: Any, source: str, depth: int = 0) -> str:
    """Return `value` as it stands in a list: numbers bare, text quoted whatever made it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return plain_number(value)
    if isinstance(value, list | tuple) and depth < 8:
        items = ", ".join([_element(item, source, depth + 1) for item in value])
        return f"[{items}]" if isinstance(value, list) else f"({items})"
    if value is None:
        raise TemplateError(f'expression "{source[:20]}..." evaluated to null')
    raise TemplateError(f'expression "{source[:20]}..." is {kind_of(value)}, which cannot be put into a query')


def kind_of(value: Any) -> str:
    """Return what `value` is, for an error."""
    if isinstance(value, Missing):
        return f"the parameter {value.name}, which has no value"
    if isinstance(value, Lambda):
        return "a function"
    if isinstance(value, dict):
        return "an object"
    return f"a {type(value).__name__}"
