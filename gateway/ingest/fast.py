"""Fast: for most column types, a type that msgspec decodes and checks in C, and what is left to check of a whole list.

A check takes the values of one column (no None among them) and returns the canonical ones, or raises if at least one of
them needs a second look; which one is found by asking again about fewer. What has no entry here is read from its text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta

from gateway.ingest.scalars import BIG_INTEGERS, SMALL_INTEGERS, UUID_TEXT, as_float32, integer_of, moment_reader
from gateway.ingest.unfit import Unfit
from gateway.schema.jsonpath import EACH
from gateway.schema.types import DataType

Check = Callable[[Sequence[Any]], Sequence[Any]]
"""Values of one column → canonical values. Raises `Unfit` or ValueError."""

# Below these every integer is exact; above, the source text is needed to tell an integer from a fraction.
_FLOAT64_EXACT: Final = 2.0**53
_FLOAT32_EXACT: Final = 2.0**24


@dataclass(frozen=True, slots=True)
class Typed:
    """How msgspec reads a column.

    Attributes:
        type: for the field.
        check: of the decoded values; None if there is nothing left to check.
    """

    type: Any
    check: Check | None = None


def typed(kind: DataType, rest: Sequence[str] = ()) -> Typed | None:
    """Return how to read a plain type, not Nullable, behind the steps `rest`; None if from its text."""
    if rest:
        return _behind(kind, rest)
    if kind.name in SMALL_INTEGERS:
        low, high = SMALL_INTEGERS[kind.name]
        bounded = Annotated[int, Meta(ge=low, le=high)]
        return Typed(bounded | bool, _ints) if kind.name == "UInt8" else Typed(bounded)
    match kind.name:
        case "Int64" | "UInt64":
            return Typed(int | str, _big_integers(*BIG_INTEGERS[kind.name]))
        case "Float64":
            return Typed(float, _float64)
        case "Float32":
            return Typed(float, _float32)
        case "String":
            return Typed(str)
        case "FixedString":
            return Typed(str, _fixed_string(kind.length))
        case "Bool":
            return Typed(bool)
        case "UUID":
            return Typed(str, _uuids)
        case "Enum8" | "Enum16":
            return Typed(Literal[tuple(name for name, _number in kind.values)])
        case "Date" | "Date32" | "DateTime" | "DateTime64":
            return Typed(str | int, moment_reader(kind).texts)
        case "Array":
            return _behind(kind, (EACH,))
        case "Map":
            return _map(*kind.args)
    return None


def check_present(check: Check | None, missing: Any, null: Any) -> Check:
    """Return `check` for columns with UNSET and None in them, which become `missing` and `null`."""

    def with_gaps(values: Sequence[Any]) -> Sequence[Any]:
        if None not in values and UNSET not in values:
            return check(values) if check else values
        present = [value for value in values if value is not None and value is not UNSET]
        checked = iter(check(present) if check else present)
        return [null if value is None else missing if value is UNSET else next(checked) for value in values]

    return with_gaps


def _ints(values: Sequence[int]) -> list[int]:
    return list(map(int, values))  # True is 1


def _big_integers(low: int, high: int) -> Check:
    """Return the check of 64-bit integers; SDKs send those above 2^53 as strings."""

    def check(values: Sequence[int | str]) -> Sequence[Any]:
        try:
            if values and not low <= min(values) <= max(values) <= high:  # type: ignore[operator]
                raise Unfit
        except TypeError:  # strings among them
            return [integer_of(str(value), low, high) for value in values]
        return values

    return check


def _float64(values: Sequence[float]) -> Sequence[float]:
    if values and not -_FLOAT64_EXACT < min(values) <= max(values) < _FLOAT64_EXACT:
        raise Unfit
    return values


def _float32(values: Sequence[float]) -> Sequence[float]:
    if values and not -_FLOAT32_EXACT < min(values) <= max(values) < _FLOAT32_EXACT:
        # Larger numbers that a 32-bit float holds exactly are exact however they were written.
        try:
            if any(abs(value) >= _FLOAT32_EXACT and as_float32(value) != value for value in values):
                raise Unfit
        except OverflowError:
            raise Unfit from None
        _float64(values)
    return values


def _fixed_string(length: int) -> Check:
    def check(values: Sequence[str]) -> Sequence[str]:
        if values and max(map(len, values)) * 4 > length and any(len(value.encode()) > length for value in values):
            raise Unfit
        return values

    return check


def _uuids(values: Sequence[str]) -> Sequence[str]:
    if not all(map(UUID_TEXT.fullmatch, values)):
        raise Unfit
    return values


def _map(key: DataType, value: DataType) -> Typed | None:
    inner = _behind(value, ()) if key.name == "String" else None
    if inner is None:
        return None
    return Typed(dict.__class_getitem__((str, inner.type)), inner.check and _flat_values(inner.check))


def _flat(check: Check) -> Check:
    """Return `check` for lists of values: of all their elements at once."""

    def of_lists(lists: Sequence[list[Any]]) -> list[list[Any]]:
        checked = iter(check([item for items in lists for item in items]))
        return [list(islice(checked, len(items))) for items in lists]

    return of_lists


def _flat_values(check: Check) -> Check:
    """Return `check` for dicts: of all their values at once."""

    def of_dicts(dicts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        checked = iter(check([item for items in dicts for item in items.values()]))
        return [dict(zip(items, checked)) for items in dicts]  # noqa: B905  `checked` goes on with the next

    return of_dicts


def _behind(kind: DataType, rest: Sequence[str]) -> Typed | None:
    """Read what the steps `rest` find: a list at `[:]`, the field of a struct at a key."""
    if not rest:
        inner = typed(kind.inner)
        if inner is None or not kind.is_nullable:
            return inner
        return Typed(inner.type | None, inner.check and check_present(inner.check, None, None))
    if rest[0] != EACH:
        return _in_struct(rest[0], _behind(kind, rest[1:]), optional=kind.is_nullable and len(rest) == 1)
    inner = _behind(kind.args[0], rest[1:]) if kind.name == "Array" else None
    if inner is None:
        return None
    return Typed(list.__class_getitem__(inner.type), inner.check and _flat(inner.check))


def _in_struct(key: str, inner: Typed | None, *, optional: bool) -> Typed | None:
    if inner is None:
        return None
    fields: list[Any] = [("f0", inner.type, None) if optional else ("f0", inner.type)]
    struct = msgspec.defstruct("Element", fields, rename={"f0": key}, gc=False, frozen=True)
    check = inner.check

    def of_structs(structs: Sequence[Any]) -> Sequence[Any]:
        values = [item.f0 for item in structs]
        return check(values) if check else values

    return Typed(struct, of_structs)
