"""Closures: what a call becomes, and an assignment by `set`, `for` or a comprehension.

Source: templates.md §2.
"""

from collections.abc import Callable
from typing import Any

from gateway.templates.errors import TemplateError
from gateway.templates.run import Run, checked, items_of, weigh
from gateway.templates.values import Missing

Evaluate = Callable[[Run], Any]
Assign = Callable[[Run, Any], None]


def unpacking(targets: list[Assign]) -> Assign:
    """Return the closure that gives each of `targets` an item of a value."""

    def assign(run: Run, value: Any) -> None:
        items = [value] * len(targets) if isinstance(value, Missing) and run.is_check else items_of(run, value)
        if len(items) != len(targets):
            raise TemplateError(f"{len(targets)} values are expected, {len(items)} were given")
        for target, item in zip(targets, items, strict=True):
            target(run, item)

    return assign


def item_assignment(container: Evaluate, key: Evaluate) -> Assign:
    """Return the closure that sets an item of a list or an object."""

    def assign(run: Run, value: Any) -> None:
        found, place = container(run), key(run)
        if not isinstance(found, list | dict):
            raise TemplateError("only items of a list or an object can be set")
        weigh(run, place)
        found[place] = value
        checked(run, found)

    return assign


def applied(function: Callable[..., Any], args: list[Evaluate], named: dict[str, Evaluate]) -> Evaluate:
    """Return the closure that calls `function` with the values of its arguments."""
    if named:
        return lambda run: function(run, *[arg(run) for arg in args], **{key: each(run) for key, each in named.items()})
    if len(args) == 1:
        only = args[0]
        return lambda run: function(run, only(run))
    if len(args) == 2:
        first, second = args
        return lambda run: function(run, first(run), second(run))
    return lambda run: function(run, *[arg(run) for arg in args])
