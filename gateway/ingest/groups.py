"""Groups: rows that fit, parted into inserts, and the Arrow schema of each insert.

Rows that leave different columns to ClickHouse's DEFAULT cannot share an insert.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final

import pyarrow as pa

from gateway.ingest.plan import ARRIVAL, OMIT, Feed
from gateway.ingest.transport import arrow_fields

_NOTHING_OMITTED: Final[frozenset[int]] = frozenset()

NO_VALUE: Final = "No column has a value"
"""Why a row that would omit every column is refused."""


@dataclass(slots=True)
class Group:
    """Rows that go into one insert.

    Attributes:
        omitted: numbers (in `Fitter.columns`) of the columns left out, so that ClickHouse evaluates their DEFAULT.
        columns: columns × rows of the others, canonical values; never empty, all of one length.
    """

    omitted: frozenset[int]
    columns: list[list[Any]]


class Grouper:
    """Parts the rows of one data source into groups. Immutable."""

    __slots__ = ("_arrivals", "_fields", "_may_be_empty", "_omittable", "_schemas")

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._arrivals = [
            (number, feed.arrival)
            for number, feed in enumerate(feeds)
            if feed.arrival is not None and ARRIVAL in (feed.missing, feed.null)
        ]
        self._omittable = [number for number, feed in enumerate(feeds) if OMIT in (feed.missing, feed.null)]
        self._may_be_empty = len(self._omittable) == len(feeds)
        self._fields = arrow_fields([feed.column for feed in feeds])
        self._schemas: dict[frozenset[int], pa.Schema] = {}

    def arrow_schema(self, omitted: frozenset[int] = _NOTHING_OMITTED) -> pa.Schema:
        """Return names and transport types of a group's columns."""
        found = self._schemas.get(omitted)
        if found is None:
            kept = [item for number, item in enumerate(self._fields) if number not in omitted]
            found = self._schemas[omitted] = pa.schema(kept)
        return found

    def empty_rows(self, columns: Sequence[Sequence[Any]]) -> Iterator[bool]:
        """Say of each row whether it omits every column: then it cannot be inserted. Nothing if no row may."""
        if self._may_be_empty:
            for row in zip(*columns, strict=True):
                yield all(value is OMIT for value in row)

    def groups(self, columns: list[Any], now: float) -> list[Group]:
        """Return rows by the columns they omit, with the time of arrival in its place.

        Args:
            columns: feeds × rows; changed.
            now: unix time of arrival.
        """
        for number, arrival in self._arrivals:
            if ARRIVAL in columns[number]:
                value = arrival(now)
                columns[number] = [value if item is ARRIVAL else item for item in columns[number]]
        for number in self._omittable:
            if OMIT in columns[number]:
                return _split_by_gaps(columns, self._omittable)
        return [Group(_NOTHING_OMITTED, columns)] if columns[0] else []


def _split_by_gaps(columns: list[Any], gaps: list[int]) -> list[Group]:
    """Return the rows in groups of one set of omitted columns each; within a group the order is kept."""
    patterns = list(zip(*[[value is OMIT for value in columns[number]] for number in gaps], strict=True))
    distinct = dict.fromkeys(patterns)
    groups = []
    for pattern in distinct:
        omitted = frozenset(compress(gaps, pattern))
        kept = [column for number, column in enumerate(columns) if number not in omitted]
        if len(distinct) > 1:
            chosen = [row == pattern for row in patterns]
            kept = [list(compress(column, chosen)) for column in kept]
        groups.append(Group(omitted, kept))
    return groups
