"""Builtins: the functions of Python a template may call, on the kinds of values there are, within bounds.

Every function takes the run first, and its arguments as Python's own does. A function is a value only where one is
expected: `map(int, ids)`.

Source: templates.md §3.
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.templates.errors import TemplateError
from gateway.templates.operators import text_of
from gateway.templates.run import KEYS_MAX, Run, call_lambda, checked, items_of, too_large, weigh
from gateway.templates.values import Lambda, Missing, kind_of

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
    "tuple": tuple,
    "set": set,
}


def sorted_(run: Run, values: Any, *, key: Any = None, reverse: Any = False) -> list[Any]:
    """Return the items of `values` in order."""
    items = items_of(run, values)
    weigh(run, items)
    run.charge(len(items) * max(1, len(items).bit_length()) >> 3)
    return sorted(items, key=_function(run, key) if key is not None else None, reverse=bool(reverse))


def _function(run: Run, value: Any) -> Callable[..., Any]:
    """Return what `value`, given for a function, stands for.

    Raises:
        TemplateError: it is not one.
    """
    if isinstance(value, Lambda):
        return lambda *args: call_lambda(run, value, list(args))
    if isinstance(value, Missing) and value.name in PYTHON:
        function = PYTHON[value.name]
        return lambda *args: checked(run, function(run, *args))
    raise TemplateError(f"{kind_of(value)} is not a function")


def _len(run: Run, value: Any, /) -> int:
    if isinstance(value, Missing):
        run.placeholder(value)
        return 1
    if isinstance(value, range):
        return len(items_of(run, value))
    if not isinstance(value, str | list | tuple | set | dict):
        raise TemplateError(f"{kind_of(value)} has no len()")
    return len(value)


def _range(run: Run, /, *args: Any) -> Any:
    for arg in args:
        if isinstance(arg, Missing):
            run.placeholder(arg)
            return range(1)
    return range(*args)


def _enumerate(run: Run, values: Any, /, start: Any = 0) -> list[Any]:
    return list(enumerate(items_of(run, values), start))


def _zip(run: Run, /, *lists: Any) -> list[Any]:
    return list(zip(*[items_of(run, each) for each in lists], strict=False))


def _map(run: Run, function: Any, /, *lists: Any) -> list[Any]:
    call = _function(run, function)
    return [_charged(run, call(*args)) for args in zip(*[items_of(run, each) for each in lists], strict=False)]


def _filter(run: Run, function: Any, values: Any, /) -> list[Any]:
    call = _function(run, function) if function is not None else bool
    return [item for item in items_of(run, values) if _charged(run, call(item))]


def _charged(run: Run, value: Any) -> Any:
    run.charge(1)
    return value


def _least(run: Run, pick: Callable[..., Any], args: tuple[Any, ...], key: Any, **default: Any) -> Any:
    for arg in args:
        if isinstance(arg, Missing):
            return run.placeholder(arg)
    weigh(run, args)
    items = items_of(run, args[0]) if len(args) == 1 else list(args)
    return pick(items, key=_function(run, key) if key is not None else None, **default)


def _min(run: Run, /, *args: Any, key: Any = None, **default: Any) -> Any:
    return _least(run, min, args, key, **default)


def _max(run: Run, /, *args: Any, key: Any = None, **default: Any) -> Any:
    return _least(run, max, args, key, **default)


def _sum(run: Run, values: Any, start: Any = 0, /) -> Any:
    items = items_of(run, values)
    if not all(isinstance(item, int | float) for item in [start, *items]):
        raise TemplateError("sum() takes a list of numbers")
    return sum(items, start)


def _any(run: Run, values: Any, /) -> bool:
    return any(items_of(run, values))


def _all(run: Run, values: Any, /) -> bool:
    return all(items_of(run, values))


def _abs(run: Run, value: Any, /) -> Any:
    return abs(_number(run, value, "abs"))


def _round(run: Run, value: Any, digits: Any = None, /) -> Any:
    if digits is not None and (not isinstance(digits, int) or abs(digits) > 100):
        raise TemplateError("round() takes at most 100 digits")
    return round(_number(run, value, "round"), digits)


def _divmod(run: Run, left: Any, right: Any, /) -> Any:
    return divmod(_number(run, left, "divmod"), _number(run, right, "divmod"))


def _number(run: Run, value: Any, name: str) -> Any:
    if isinstance(value, Missing):
        run.placeholder(value)
        return 0
    if not isinstance(value, int | float):
        raise TemplateError(f"{name}() takes a number")
    return value


def _int(run: Run, value: Any = 0, base: Any = None, /) -> Any:
    if isinstance(value, Missing):
        run.placeholder(value)
        return 0
    if isinstance(value, str):
        value = str(value)
        return int(value) if base is None else int(value, base)
    return int(_number(run, value, "int"))


def _float(run: Run, value: Any = 0.0, /) -> float:
    if isinstance(value, Missing):
        run.placeholder(value)
        return 0.0
    return float(str(value) if isinstance(value, str) else _number(run, value, "float"))


def _str(run: Run, value: Any = "", /) -> str:
    return text_of(run, value)


def _bool(_run: Run, value: Any = False, /) -> bool:
    return bool(value)


def _list(run: Run, values: Any = (), /) -> list[Any]:
    return items_of(run, values)


def _tuple(run: Run, values: Any = (), /) -> tuple[Any, ...]:
    return tuple(items_of(run, values))


def _set(run: Run, values: Any = (), /) -> set[Any]:
    return set(_keys(run, values))


def _dict(run: Run, values: Any = (), /, **named: Any) -> dict[Any, Any]:
    if isinstance(values, dict):
        return {**values, **named}
    return {**dict(_keys(run, values)), **named}


def _keys(run: Run, values: Any) -> list[Any]:
    items = items_of(run, values)
    weigh(run, items)
    if len(items) > KEYS_MAX:
        raise too_large()
    return items


def _reversed(run: Run, values: Any, /) -> list[Any]:
    return items_of(run, values)[::-1]


def _isinstance(_run: Run, value: Any, kinds: Any, /) -> bool:
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    names = [kind.name for kind in wanted if isinstance(kind, Missing)]
    return any(isinstance(value, _TYPES[name]) for name in names if name in _TYPES)


def _ord(run: Run, char: Any, /) -> int:
    return ord(text_of(run, char))


def _chr(_run: Run, code: Any, /) -> str:
    return chr(code)


# By the name a template calls them.
PYTHON: Final[dict[str, Callable[..., Any]]] = {
    "abs": _abs,
    "all": _all,
    "any": _any,
    "bool": _bool,
    "chr": _chr,
    "dict": _dict,
    "divmod": _divmod,
    "enumerate": _enumerate,
    "filter": _filter,
    "float": _float,
    "int": _int,
    "isinstance": _isinstance,
    "len": _len,
    "list": _list,
    "map": _map,
    "max": _max,
    "min": _min,
    "ord": _ord,
    "range": _range,
    "reversed": _reversed,
    "round": _round,
    "set": _set,
    "sorted": sorted_,
    "str": _str,
    "sum": _sum,
    "tuple": _tuple,
    "zip": _zip,
}

IN_OUTPUT: Final = frozenset({"float", "int", "len", "list", "max", "min"})
