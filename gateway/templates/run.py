"""Run: one rendering of one template, what it knows and what it may still take.

Every operation is charged what it costs, by the size of what it works on, so a bound on the sum bounds time and memory
alike: no clock is asked, and the same template with the same values always ends the same way.

Source: templates.md §3 (the note on security), §8.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.templates.context import WORDS, placed
from gateway.templates.errors import LimitExceeded, TemplateError, required
from gateway.templates.values import Lambda, Missing, kind_of

# A unit is at most about a microsecond; a page of SQL takes a few hundred.
WORK_MAX: Final = 300_000
OUTPUT_CHARS_MAX: Final = 1024 * 1024
VALUE_CHARS_MAX: Final = 1024 * 1024
ITEMS_MAX: Final = 100_000
# Of sets and objects: so many chosen keys that all collide are still looked up in a moment.
KEYS_MAX: Final = 10_000
BITS_MAX: Final = 1024
# Of values within values, and of calls within calls.
DEPTH_MAX: Final = 24

_FLAT: Final = frozenset({bool, int, float, type(None)})


@dataclass(frozen=True, slots=True)
class Hints:
    """What a template asks of whoever runs its SQL.

    Attributes:
        max_threads: the setting of ClickHouse; None when not asked for.
        cache_ttl_seconds: how long a result may be kept; None: do not.
        backend_hint: as written; "" when not.
        activate, disable: `analyzer`, `parallel_replicas`, `optimize_aggregation_in_order`.
    """

    max_threads: int | None = None
    cache_ttl_seconds: int | None = None
    backend_hint: str = ""
    activate: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()


class Run:
    """The state of a rendering.

    Attributes:
        names: what was sent, scalars as text, and what the template has set, which covers it.
        out: the SQL so far, in pieces, none of them empty; `state` is where it stands (`context.py`).
        bound: secrets to send beside the SQL, by name.
        is_check: nothing was sent, and placeholders stand for it.
    """

    __slots__ = ("bound", "depth", "hints", "is_check", "names", "out", "required", "secrets", "size", "state", "work")

    def __init__(self, secrets: Mapping[str, str] | None, required_names: list[str], *, is_check: bool) -> None:
        self.names: dict[str, Any] = {}
        self.out: list[str] = []
        self.size = 0
        self.state = WORDS
        self.work = WORK_MAX
        self.depth = 0
        self.secrets = secrets
        self.bound: dict[str, str] = {}
        self.hints: dict[str, Any] = {}
        self.required = required_names
        self.is_check = is_check

    def charge(self, units: int) -> None:
        """Take `units` of work.

        Raises:
            LimitExceeded: there is not so much left.
        """
        self.work -= units
        if self.work < 0:
            raise LimitExceeded("The template takes too long to render: it loops too often or works on too much")

    def write(self, text: str, source: str) -> None:
        """Append the value of the expression `source`, as SQL.

        Raises:
            TemplateError: it may not stand where the SQL is.
        """
        if self.state:
            text = placed(self.state, text, source)
        elif text[:1] == "-" and self.out and self.out[-1][-1] == "-":
            text = " " + text  # two of them would begin a comment
        if text:
            self.emit(text)

    def emit(self, text: str) -> None:
        """Append SQL, not empty."""
        self.size += len(text)
        if self.size > OUTPUT_CHARS_MAX:
            raise LimitExceeded(f"The template renders to more than {OUTPUT_CHARS_MAX} characters")
        self.out.append(text)

    def absent(self, missing: Missing) -> TemplateError:
        """Return the error for the use of a parameter that was not sent."""
        return required(self.required or [missing.name])

    def placeholder(self, missing: Missing) -> Missing:
        """Return `missing` where it may stand for a value: in a check.

        Raises:
            TemplateError: this is not one.
        """
        if self.is_check:
            return missing
        raise self.absent(missing)


def checked(run: Run, value: Any) -> Any:
    """Return `value`, just made, once it is charged and known to be within bounds.

    Raises:
        LimitExceeded: it is too large.
    """
    if isinstance(value, str):
        if len(value) > 64:
            run.charge(len(value) >> 6)
            if len(value) > VALUE_CHARS_MAX:
                raise too_large()
    elif isinstance(value, int):
        if value.bit_length() > BITS_MAX:
            raise too_large()
    elif isinstance(value, list | tuple):
        run.charge(1 + (len(value) >> 3))
        if len(value) > ITEMS_MAX:
            raise too_large()
    elif isinstance(value, dict | set):
        run.charge(1 + (len(value) >> 2))
        if len(value) > KEYS_MAX:
            raise too_large()
    elif isinstance(value, complex):
        raise TemplateError("a result is not a real number")
    return value


def weigh(run: Run, value: Any, depth: int = 0) -> None:
    """Charge for all of `value`, however often its parts are shared, before something walks over it.

    Raises:
        LimitExceeded: it is too large or too deep.
    """
    if type(value) in _FLAT:
        return
    if isinstance(value, str):
        run.charge(1 + (len(value) >> 6))
    elif isinstance(value, list | tuple | set | dict):
        if depth > DEPTH_MAX:
            raise LimitExceeded("A value of the template is nested too deeply")
        run.charge(1 + (len(value) >> 2))
        for item in value:
            weigh(run, item, depth + 1)
        if isinstance(value, dict):
            for item in value.values():
                weigh(run, item, depth + 1)


def iterate(run: Run, value: Any) -> Iterable[Any]:
    """Return what a loop over `value` meets: a copy, so that a loop may change what it goes through.

    Raises:
        TemplateError: it cannot be gone through.
    """
    if isinstance(value, range):
        return value
    if isinstance(value, str | list | tuple | set | dict):
        run.charge(1 + (len(value) >> 3))
        return list(value)
    if isinstance(value, Missing):
        return [run.placeholder(value)]
    raise TemplateError(f"{kind_of(value)} cannot be looped over")


def items_of(run: Run, value: Any) -> list[Any]:
    """Return `iterate` as a list.

    Raises:
        LimitExceeded: a range is too long.
    """
    found = iterate(run, value)
    if isinstance(found, range):
        # The length of a very long range does not fit an integer of the machine.
        if found and abs((found[-1] - found[0]) // found.step) >= ITEMS_MAX:
            raise too_large()
        run.charge(1 + (len(found) >> 3))
    return list(found)


def call_lambda(run: Run, function: Lambda, args: list[Any]) -> Any:
    """Call a function the template wrote.

    Raises:
        LimitExceeded: it calls itself too often.
    """
    run.charge(1)
    run.depth += 1
    if run.depth > DEPTH_MAX:
        raise LimitExceeded("A function of the template calls itself too often")
    try:
        return function.call(args)
    finally:
        run.depth -= 1


def too_large() -> LimitExceeded:
    """Return the error for a value out of bounds."""
    return LimitExceeded("A value of the template grows too large")
