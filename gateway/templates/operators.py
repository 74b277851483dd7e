"""Operators: arithmetic, comparison, subscripts and formatting on values, within bounds.

A bound is checked before an operation that could make something large (`*`, `**`, `<<`, `%` on text), and after any
other. A parameter that was not sent is an error in most of them; in a check it stands for itself.

Source: templates.md §3, §8.
"""

import ast
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from gateway.templates.errors import TemplateError
from gateway.templates.run import BITS_MAX, ITEMS_MAX, VALUE_CHARS_MAX, Run, checked, too_large, weigh
from gateway.templates.values import NO_VALUE, Lambda, Missing, Raw, kind_of

BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}

UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}

_ORDER: Final[dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}

# Of what `%` and f-strings can do: a sign, a width of two digits, a precision of two.
_PERCENT: Final = re.compile(r"%(?:%|[-+ 0]?\d{0,2}(?:\.\d{1,2})?[sdifeEgGxX])")
_SPEC: Final = re.compile(r"[<>^=]?[+-]?0?\d{0,2},?(?:\.\d{1,2})?[bdeEfFgGnosxX%]?")


def binary(run: Run, kind: type[ast.operator], left: Any, right: Any) -> Any:
    """Return `left` operator `right`.

    Raises:
        TemplateError: they do not go together, or a parameter has no value.
    """
    if isinstance(left, Missing):
        return run.placeholder(left)
    if isinstance(right, Missing):
        return run.placeholder(right)
    run.charge(1)
    if kind is ast.Mult:
        _check_product(left, right)
    elif kind is ast.Pow:
        _check_power(left, right)
    elif kind is ast.LShift and isinstance(right, int) and right > BITS_MAX:
        raise too_large()
    elif kind is ast.Mod and isinstance(left, str):
        return _percent(run, left, right)
    elif kind in (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub):
        weigh(run, left)
        weigh(run, right)
    return checked(run, BINARY[kind](left, right))


def unary(run: Run, kind: type[ast.unaryop], value: Any) -> Any:
    """Return operator `value`."""
    return run.placeholder(value) if isinstance(value, Missing) else UNARY[kind](value)


def compare(run: Run, kind: type[ast.cmpop], left: Any, right: Any) -> bool:
    """Return whether `left` compares with `right` as `kind` says.

    Raises:
        TemplateError: they cannot be ordered, or a parameter has no value.
    """
    run.charge(1)
    weigh(run, left)
    weigh(run, right)
    if kind is ast.Eq:
        return bool(left == right)
    if kind is ast.NotEq:
        return bool(left != right)
    if kind is ast.Is:
        return _is(left, right)
    if kind is ast.IsNot:
        return not _is(left, right)
    if kind is ast.In:
        return _contains(run, right, left)
    if kind is ast.NotIn:
        return not _contains(run, right, left)
    sign, function = _ORDER[kind]
    absent = next((value for value in (left, right) if isinstance(value, Missing)), None)
    if absent is not None and not isinstance(left, int | float) and not isinstance(right, int | float):
        run.placeholder(absent)
        return False
    try:
        return bool(function(left, right))
    except TypeError:
        raise _not_ordered(sign, left, right) from None


def subscript(run: Run, value: Any, key: Any) -> Any:
    """Return `value[key]`.

    Raises:
        TemplateError: there is nothing at that place.
    """
    run.charge(1)
    if isinstance(value, Missing):
        return run.placeholder(value)
    if isinstance(key, Missing):
        return run.placeholder(key)
    if not isinstance(value, str | list | tuple | dict | range):
        raise TemplateError(f"{kind_of(value)} has no items, so [ ] cannot be used on it")
    weigh(run, key)
    try:
        return checked(run, value[key])
    except KeyError:
        raise TemplateError(
            f"Missing key {str(key)[:64]!r} while rendering the template. Check that the object has it, or use .get()"
        ) from None
    except IndexError:
        kind = "String" if isinstance(value, str) else "List"
        raise TemplateError(f"{kind} index out of range. Check its length with len() before taking an item") from None


def text_of(run: Run, value: Any) -> str:
    """Return `str(value)` as plain text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Missing):
        run.placeholder(value)
        return NO_VALUE
    if isinstance(value, Lambda):
        raise TemplateError("a function cannot be put into text")
    weigh(run, value)
    return str(checked(run, str(value)))


def formatted(run: Run, value: Any, spec: str) -> str:
    """Return `value` as an f-string shows it."""
    if not spec:
        return text_of(run, value)
    if not _SPEC.fullmatch(spec) or not isinstance(value, str | int | float):
        raise TemplateError(f"the format {spec[:20]!r} is not supported in an f-string")
    return str(checked(run, format(_plain(value), spec)))


def _check_product(left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(times, int):
            most = VALUE_CHARS_MAX if isinstance(sequence, str) else ITEMS_MAX
            if times > 0 and len(sequence) * times > most:
                raise too_large()


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and abs(exponent) * base.bit_length() > 2 * BITS_MAX:
        raise too_large()


def _percent(run: Run, text: str, values: Any) -> str:
    """Return `text % values`, for the plain forms of it."""
    if _PERCENT.sub("", text).count("%"):
        raise TemplateError(f"{text[:40]!r}: of % only %s, %d, %f and their like are supported")
    given = values if isinstance(values, tuple) else (values,)
    if not all(isinstance(value, str | int | float) for value in given):
        raise TemplateError("% takes text and numbers")
    run.charge(1 + (sum(len(value) for value in given if isinstance(value, str)) >> 6))
    return str(checked(run, str(text) % tuple(_plain(value) for value in given)))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Raw) else value


def _is(left: Any, right: Any) -> bool:
    """`is`: a text or a number has no identity worth asking for, a list has."""
    if left is None or right is None:
        return bool(left == right)
    if isinstance(left, list | dict | set | tuple):
        return left is right
    return type(left) is type(right) and bool(left == right)


def _contains(run: Run, container: Any, item: Any) -> bool:
    if isinstance(container, Missing):
        run.placeholder(container)
        return False
    if isinstance(item, Missing) and isinstance(container, str):
        run.placeholder(item)
        return False
    if not isinstance(container, str | list | tuple | set | dict | range):
        raise TemplateError(f"{kind_of(container)} contains nothing, so 'in' cannot be used on it")
    if isinstance(container, range) and not isinstance(item, int):
        return False
    return item in container


def _not_ordered(sign: str, left: Any, right: Any) -> TemplateError:
    names = [
        "placeholder" if isinstance(value, Missing) else type(value).__name__.lower().removeprefix("typed")
        for value in (left, right)
    ]
    return TemplateError(
        f"'{sign}' not supported between instances of '{names[0]}' and '{names[1]}'. "
        "If you are using a placeholder in a comparison, wrap it around a valid Data Type (e.g. Int8(placeholder))"
    )
