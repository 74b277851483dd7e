"""Methods: what may be called on text, lists, objects, sets and tuples.

The lists below are the only way to a method: nothing is looked up on a value. In `{{ }}` there are four of them.

Source: templates.md §3.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.schema.lexer import words
from gateway.templates.builtins import sorted_
from gateway.templates.errors import TemplateError
from gateway.templates.run import ITEMS_MAX, KEYS_MAX, VALUE_CHARS_MAX, Run, checked, items_of, too_large, weigh
from gateway.templates.values import NO_VALUE, Missing, kind_of

IN_OUTPUT: Final = frozenset({"split", "get", "join", "replace"})

_STR: Final[dict[str, Callable[..., Any]]] = {
    name: getattr(str, name)
    for name in words("""
    capitalize casefold center count endswith expandtabs find index isalnum isalpha isascii isdecimal isdigit
    isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix
    removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title
    upper zfill
    """)
}
_LIST: Final[dict[str, Callable[..., Any]]] = {
    name: getattr(list, name) for name in words("append clear copy count extend index insert pop remove reverse sort")
}
_DICT: Final[dict[str, Callable[..., Any]]] = {
    name: getattr(dict, name) for name in words("clear copy get items keys pop setdefault update values")
}
_SET: Final[dict[str, Callable[..., Any]]] = {
    name: getattr(set, name)
    for name in words("""
    add clear copy difference discard intersection isdisjoint issubset issuperset pop remove symmetric_difference union
    update
    """)
}
_TUPLE: Final[dict[str, Callable[..., Any]]] = {"count": tuple.count, "index": tuple.index}

_KINDS: Final[tuple[tuple[type, Mapping[str, Callable[..., Any]]], ...]] = (
    (str, _STR),
    (list, _LIST),
    (dict, _DICT),
    (set, _SET),
    (tuple, _TUPLE),
)

KNOWN: Final = frozenset().union(*(methods for _, methods in _KINDS))

# What compares with every item; and what touches one.
_WALKS: Final = frozenset({"count", "index", "remove"})
_STEPS: Final = frozenset({"add", "append", "discard", "get", "pop", "setdefault"})
_WIDTH: Final = frozenset({"center", "ljust", "rjust", "zfill"})


def call_method(run: Run, value: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return `value.name(*args, **kwargs)`; `name` is one of `KNOWN`.

    Raises:
        TemplateError: this kind of value has no such method, or it does not take these arguments.
        LimitExceeded: the result would be too large.
    """
    if isinstance(value, Missing):
        run.placeholder(value)
        if name == "get":
            return args[1] if len(args) > 1 else value
        value = NO_VALUE
    for arg in args:
        if isinstance(arg, Missing):
            return run.placeholder(arg)
        weigh(run, arg)
    if name in _WALKS:
        weigh(run, value)
    elif isinstance(value, str) or name not in _STEPS:
        checked(run, value)
    for kind, methods in _KINDS:
        if isinstance(value, kind):
            if name not in methods:
                break
            return checked(run, _called(run, value, name, methods[name], args, kwargs))
    raise TemplateError(_no_method(value, name))


def _called(
    run: Run, value: Any, name: str, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
) -> Any:
    if isinstance(value, str):
        _check_growth(run, value, name, args)
        if name == "join":
            return str.join(value, items_of(run, *args))
    elif name in ("items", "keys", "values"):
        return list(function(value, *args))
    elif name == "sort" and isinstance(value, list):
        value[:] = sorted_(run, value, **kwargs)
        return None
    elif name == "extend" and isinstance(value, list):
        value.extend(items_of(run, *args))
        return checked(run, value) and None
    elif isinstance(value, set) and any(len(arg) > KEYS_MAX for arg in args if isinstance(arg, str | list | tuple)):
        raise too_large()
    result = function(value, *args, **kwargs)
    if not isinstance(value, str) and len(value) > (ITEMS_MAX if isinstance(value, list) else KEYS_MAX):
        raise too_large()
    return result


def _check_growth(run: Run, text: str, name: str, args: list[Any]) -> None:
    """Raise if a method would make something large out of something small."""
    size = 0
    if name == "join" and args:
        items = items_of(run, args[0])
        size = len(text) * len(items) + sum(len(item) for item in items if isinstance(item, str))
    elif name == "replace" and len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str):
        size = len(text) + text.count(args[0]) * max(0, len(args[1]) - len(args[0]))
    elif name in _WIDTH and args and isinstance(args[0], int):
        size = args[0]
    elif name == "expandtabs":
        size = len(text) + text.count("\t") * (args[0] if args and isinstance(args[0], int) else 8)
    elif name.endswith("split") or name == "splitlines":
        run.charge(len(text) >> 4)
    if size > VALUE_CHARS_MAX:
        raise too_large()


def _no_method(value: Any, name: str) -> str:
    known = {str: "str", list: "list", dict: "dict", set: "set", tuple: "tuple", int: "int", float: "float"}
    shown = next((text for kind, text in known.items() if isinstance(value, kind)), kind_of(value))
    text = f"'{shown}' object has no attribute '{name}'."
    return text + (" Make sure you're using an object/dictionary where trying to use .get()" if name == "get" else "")
