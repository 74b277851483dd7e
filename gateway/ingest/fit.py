"""Fit: the bytes of a body and the columns of a data source → values that fit, and rows in quarantine with reasons.

Two paths, one meaning. The fast path reads all lines into columns at once; whatever it refuses is found by halves and
goes, line by line, through the exact path, which says what is wrong. Order is kept, and every line is accounted for: it
is fitted, quarantined, or blank.

No value is stored that differs from what was sent; see `values`, `moments` and `objects` for what that means.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

import msgspec
import pyarrow as pa

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.ingest.lines import RECORD, is_blank, is_utf8, split, split_json, why_unreadable
from gateway.ingest.plan import ARRIVAL, OMIT, feeds
from gateway.ingest.quarantine import Quarantine, QuarantinedRow
from gateway.ingest.readers import LINE_BYTES_MAX, ExactReader, FastReader
from gateway.ingest.transport import arrow_fields
from gateway.ingest.unfit import Unfit
from gateway.schema.columns import Column, Schema

CELLS_MAX: Final = 5_000_000
"""Rows times columns of one body: some 300 MB while it is fitted. A small body may unfold to many empty rows."""

_NOTHING_OMITTED: Final[frozenset[int]] = frozenset()

_COMPANY_MAX: Final = 16

# What the fast path raises when something needs a second look. NotMoment and DecodeError are ValueErrors.
_REFUSALS: Final = (msgspec.MsgspecError, Unfit, ValueError, RecursionError)


@dataclass(slots=True)
class Group:
    """Rows that go into one insert.

    Attributes:
        omitted: numbers (in `Fitter.columns`) of the columns left out, so that ClickHouse evaluates their DEFAULT.
        columns: columns × rows of the others, canonical values; never empty, all of one length.
    """

    omitted: frozenset[int]
    columns: list[list[Any]]


@dataclass(slots=True)
class Fitted:
    """What became of a body.

    Attributes:
        groups: the rows that fit; usually one group, none if no row fits.
        rows: in all groups.
        quarantined: rows that did not fit.
        quarantine_columns: these rows, columns × rows in the order of `Fitter.quarantine_schema`; [] if there are none.
    """

    groups: list[Group]
    rows: int
    quarantined: int = 0
    quarantine_columns: list[list[Any]] = field(default_factory=list)


class Fitter:
    """Fits bodies to one version of a data source. Immutable; compiled in about a millisecond."""

    def __init__(self, schema: Schema) -> None:
        """Compile.

        Raises:
            InvalidRequest: a column cannot be filled from JSON, or none can.
        """
        self._feeds = feeds(schema)
        self.columns: tuple[Column, ...] = tuple(feed.column for feed in self._feeds)
        """Those fed by JSON, in insert order."""
        self._fast = FastReader(self._feeds)
        self._exact = ExactReader(self._feeds)
        self.quarantine = Quarantine(schema, self._feeds)
        self.quarantine_schema: pa.Schema = self.quarantine.schema
        self._arrivals = [
            (number, feed.arrival)
            for number, feed in enumerate(self._feeds)
            if feed.arrival is not None and ARRIVAL in (feed.missing, feed.null)
        ]
        self._omittable = [number for number, feed in enumerate(self._feeds) if OMIT in (feed.missing, feed.null)]
        # A row that omits every column could not be inserted.
        self._may_be_empty = len(self._omittable) == len(self._feeds)
        self._fields = arrow_fields(self.columns)
        self._schemas: dict[frozenset[int], pa.Schema] = {}

    def arrow_schema(self, omitted: frozenset[int] = _NOTHING_OMITTED) -> pa.Schema:
        """Return names and transport types of a group's columns."""
        found = self._schemas.get(omitted)
        if found is None:
            kept = [item for number, item in enumerate(self._fields) if number not in omitted]
            found = self._schemas[omitted] = pa.schema(kept)
        return found

    def fit_ndjson(self, body: bytes, now: float, import_id: str) -> Fitted:
        """Fit a body of one JSON object per line.

        Args:
            body: NDJSON, UTF-8; see `lines`.
            now: unix time of arrival.
            import_id: shown with quarantined rows.

        Raises:
            InvalidRequest: no line is a JSON object.
        """
        return self._fit(split(body), body, now, import_id)

    def fit_json(self, body: bytes, now: float, import_id: str) -> Fitted:
        """Fit a body that is one JSON object, or an array of them. Otherwise as `fit_ndjson`."""
        return self._fit(split_json(body), body, now, import_id)

    def _fit(self, lines: list[bytes], body: bytes, now: float, import_id: str) -> Fitted:
        if len(lines) * len(self._feeds) > CELLS_MAX:
            raise TooLarge(f"The body has more than {CELLS_MAX // len(self._feeds)} rows; send fewer at once")
        is_plain = is_utf8(body) and (len(body) <= LINE_BYTES_MAX or max(map(len, lines)) <= LINE_BYTES_MAX)
        if is_plain:
            try:
                columns = self._read(list(map(self._fast.decode, lines)), lines)
            except _REFUSALS:
                pass
            else:
                return Fitted(self._groups(columns, now), len(lines))
        return self._fit_mixed(lines, is_plain, now, import_id)

    def _read(self, events: list[Any], lines: list[bytes]) -> list[Any]:
        """Return decoded events as columns; raises one of `_REFUSALS` if at least one needs the exact path."""
        columns = self._fast.read(events, lines)
        if self._may_be_empty and any(all(value is OMIT for value in row) for row in zip(*columns, strict=True)):
            raise Unfit
        return columns

    def _fit_mixed(self, lines: list[bytes], is_plain: bool, now: float, import_id: str) -> Fitted:
        """Fit lines of which at least one needs the exact path.

        Args:
            lines: all of the body.
            is_plain: all are UTF-8, and short enough for the fast path.
            now: see `fit_ndjson`.
            import_id: see `fit_ndjson`.
        """
        fast: list[_Slice] = []
        numbers = self._decodable(lines, is_plain)
        self._read_halves([number for number, _event in numbers], [event for _number, event in numbers], lines, fast)
        done = {number for part in fast for number in part.numbers}
        exact = self._fit_exactly([(number, line) for number, line in enumerate(lines) if number not in done])
        if exact.rows:
            rows = [row for _number, row in exact.rows]
            fast.append(_Slice([number for number, _row in exact.rows], list(zip(*rows, strict=True))))
        elif not (done or exact.understood):
            raise InvalidRequest(exact.complaint or "The body is empty: send at least one JSON object")
        columns, count = _merged(fast, len(self._feeds))
        return Fitted(
            self._groups(columns, now),
            count,
            len(exact.quarantined),
            self.quarantine.columns(exact.quarantined, now, import_id) if exact.quarantined else [],
        )

    def _decodable(self, lines: list[bytes], is_plain: bool) -> list[tuple[int, Any]]:
        """Return number and event of the lines the fast path can decode."""
        found = []
        for number, line in enumerate(lines):
            if not is_plain and (len(line) > LINE_BYTES_MAX or not is_utf8(line)):
                continue
            try:
                found.append((number, self._fast.decode(line)))
            except _REFUSALS:
                continue
        return found

    def _read_halves(self, numbers: list[int], events: list[Any], lines: list[bytes], found: "list[_Slice]") -> None:
        """Add to `found` the columns of events that pass all checks, looking for the others by halves.

        A few in whose company a bad one is are left to the exact path with it: it costs less than looking further.
        """
        if not numbers:
            return
        try:
            columns = self._read(events, [lines[number] for number in numbers])
        except _REFUSALS:
            if (half := len(numbers) // 2) >= _COMPANY_MAX:
                self._read_halves(numbers[:half], events[:half], lines, found)
                self._read_halves(numbers[half:], events[half:], lines, found)
        else:
            found.append(_Slice(numbers, columns))

    def _fit_exactly(self, lines: Sequence[tuple[int, bytes]]) -> "_Exact":
        result = _Exact()
        for number, line in lines:
            if is_blank(line):
                continue
            try:
                texts = self._exact.texts(line) if is_utf8(line) else None
            except (msgspec.MsgspecError, RecursionError):
                texts = None
            if texts is None:
                result.add_unreadable(line)
                continue
            result.understood = True
            row, names, reasons = self._fit_row(texts)
            if reasons:
                result.quarantined.append(QuarantinedRow(names, reasons, texts, line))
            else:
                result.rows.append((number, row))
        return result

    def _fit_row(self, texts: list[bytes | None]) -> tuple[list[Any], list[str], list[str]]:
        """Return the values of one row, and the columns that refuse it with their reasons."""
        row, names, reasons = [], [], []
        for feed, text in zip(self._feeds, texts, strict=True):
            try:
                row.append(feed.value(text))
            except Unfit as error:
                names.append(feed.column.name)
                reasons.append(str(error))
        if self._may_be_empty and not reasons and all(value is OMIT for value in row):
            return row, [RECORD], ["No column has a value"]
        return row, names, reasons

    def _groups(self, columns: list[Any], now: float) -> list[Group]:
        """Return rows by the columns they omit, with the time of arrival in its place."""
        for number, arrival in self._arrivals:
            if ARRIVAL in columns[number]:
                value = arrival(now)
                columns[number] = [value if item is ARRIVAL else item for item in columns[number]]
        for number in self._omittable:
            if OMIT in columns[number]:
                return _split_by_gaps(columns, self._omittable)
        return [Group(_NOTHING_OMITTED, columns)] if columns[0] else []


@dataclass(slots=True)
class _Slice:
    """Rows, not necessarily neighbours: their line numbers, and columns × rows."""

    numbers: list[int]
    columns: Sequence[Sequence[Any]]


@dataclass(slots=True)
class _Exact:
    """What the exact path made of some lines."""

    rows: list[tuple[int, list[Any]]] = field(default_factory=list)
    quarantined: list[QuarantinedRow] = field(default_factory=list)
    understood: bool = False
    complaint: str = ""

    def add_unreadable(self, line: bytes) -> None:
        """Quarantine a line that is not a JSON object, or has broken text."""
        why = why_unreadable(line)
        self.understood = self.understood or why.understood
        self.complaint = self.complaint or why.reason
        self.quarantined.append(QuarantinedRow.unread(line, why.reason))


def _merged(slices: Sequence[_Slice], width: int) -> tuple[list[Any], int]:
    """Return the rows of all slices in the order of their lines, columns × rows, and how many they are."""
    numbers = [number for part in slices for number in part.numbers]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    columns: list[Any] = []
    for place in range(width):
        values = [value for part in slices for value in part.columns[place]]
        columns.append([values[number] for number in order])
    return columns, len(numbers)


def _split_by_gaps(columns: list[Any], gaps: list[int]) -> list[Group]:
    """Return the rows in groups of one set of omitted columns each; within a group the order is kept."""
    patterns = list(zip(*[[value is OMIT for value in columns[number]] for number in gaps], strict=True))
    groups = []
    for pattern in dict.fromkeys(patterns):
        omitted = frozenset(compress(gaps, pattern))
        chosen = [row == pattern for row in patterns]
        kept = [column for number, column in enumerate(columns) if number not in omitted]
        groups.append(Group(omitted, [list(compress(column, chosen)) for column in kept]))
    return groups
