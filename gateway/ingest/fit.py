"""Fit: the bytes of a body and the columns of a data source → values that fit, and rows in quarantine with reasons.

Two paths, one meaning. The fast path reads all lines into columns at once; whatever it refuses is found by halves and
goes, line by line, through the exact path, which says what is wrong. Order is kept, and every line is accounted for: it
is fitted, quarantined, or blank.

No value is stored that differs from what was sent; see `values`, `moments` and `objects` for what that means.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pyarrow as pa

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.ingest.groups import NO_VALUE, Group, Grouper
from gateway.ingest.lines import RECORD, is_blank, is_utf8, split, split_json, why_unreadable
from gateway.ingest.plan import feeds
from gateway.ingest.quarantine import Quarantine, QuarantinedRow
from gateway.ingest.readers import LINE_BYTES_MAX, ExactReader, FastReader
from gateway.ingest.unfit import Unfit
from gateway.schema.columns import Column, Schema

CELLS_MAX: Final = 5_000_000
"""Rows times columns of one body: some 300 MB while it is fitted. A small body may unfold to many empty rows."""

_COMPANY_MAX: Final = 16

# What the fast path raises when something needs a second look. NotMoment and DecodeError are ValueErrors.
_REFUSALS: Final = (msgspec.MsgspecError, Unfit, ValueError, RecursionError)


@dataclass(slots=True)
class Fitted:
    """What became of a body.

    Attributes:
        groups: the rows that fit; usually one group, none if no row fits.
        rows: in all groups.
        quarantined: rows that did not fit.
        quarantine_columns: these rows, columns × rows in the order of `Fitter.quarantine_schema`; [] if there are none.
        unreadable: of the quarantined rows, those that were not read at all.
        understood: at least one line is a JSON object, whether it can be stored or not; see `lines`.
        complaint: what was wrong with the first line that was not understood; "" if there is none.
    """

    groups: list[Group]
    rows: int
    quarantined: int = 0
    quarantine_columns: list[list[Any]] = field(default_factory=list)
    unreadable: int = 0
    understood: bool = True
    complaint: str = ""


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
        self._grouper = Grouper(self._feeds)

    def arrow_schema(self, omitted: frozenset[int] = frozenset()) -> pa.Schema:
        """Return names and transport types of a group's columns."""
        return self._grouper.arrow_schema(omitted)

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

    def fit_part(self, part: bytes, now: float, import_id: str, *, has_begin: bool = True) -> Fitted:
        """Fit whole lines of a larger body; as `fit_ndjson`, but lines of which none can be read are quarantined.

        Args:
            part: the lines.
            now: see `fit_ndjson`.
            import_id: see `fit_ndjson`.
            has_begin: it is the first part.
        """
        return self._fit(split(part, has_begin=has_begin), part, now, import_id, is_part=True)

    def fit_json(self, body: bytes, now: float, import_id: str) -> Fitted:
        """Fit a body that is one JSON object, or an array of them. Otherwise as `fit_ndjson`."""
        return self._fit(split_json(body), body, now, import_id)

    def check_size(self, rows: int) -> None:
        """Refuse a body of so many rows.

        Raises:
            TooLarge: it has too many cells.
        """
        if rows * len(self._feeds) > CELLS_MAX:
            raise TooLarge(f"The body has more than {CELLS_MAX // len(self._feeds)} rows; send fewer at once")

    def _fit(self, lines: list[bytes], body: bytes, now: float, import_id: str, *, is_part: bool = False) -> Fitted:
        self.check_size(len(lines))
        is_plain = is_utf8(body) and (len(body) <= LINE_BYTES_MAX or max(map(len, lines)) <= LINE_BYTES_MAX)
        if is_plain:
            try:
                columns = self._read(list(map(self._fast.decode, lines)), lines)
            except _REFUSALS:
                pass
            else:
                return Fitted(self._grouper.groups(columns, now), len(lines))
        return self._fit_mixed(lines, now, import_id, is_plain=is_plain, is_part=is_part)

    def _read(self, events: list[Any], lines: list[bytes]) -> list[Any]:
        """Return decoded events as columns; raises one of `_REFUSALS` if at least one needs the exact path."""
        columns = self._fast.read(events, lines)
        if any(self._grouper.empty_rows(columns)):
            raise Unfit
        return columns

    def _fit_mixed(self, lines: list[bytes], now: float, import_id: str, *, is_plain: bool, is_part: bool) -> Fitted:
        """Fit lines of which at least one needs the exact path.

        Args:
            lines: all of the body.
            now: see `fit_ndjson`.
            import_id: see `fit_ndjson`.
            is_plain: all are UTF-8, and short enough for the fast path.
            is_part: see `fit_part`.
        """
        fast: list[_Slice] = []
        numbers = self._decodable(lines, is_plain)
        self._read_halves([number for number, _event in numbers], [event for _number, event in numbers], lines, fast)
        done = {number for part in fast for number in part.numbers}
        exact = self._fit_exactly([(number, line) for number, line in enumerate(lines) if number not in done])
        if exact.rows:
            rows = [row for _number, row in exact.rows]
            fast.append(_Slice([number for number, _row in exact.rows], list(zip(*rows, strict=True))))
        understood = bool(done) or exact.understood
        if not (understood or is_part):
            raise not_understood(exact.complaint)
        columns, count = _merged(fast, len(self._feeds))
        return Fitted(
            self._grouper.groups(columns, now),
            count,
            len(exact.quarantined),
            self.quarantine.columns(exact.quarantined, now, import_id) if exact.quarantined else [],
            exact.unreadable,
            understood,
            exact.complaint,
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
        if not reasons and any(self._grouper.empty_rows([[value] for value in row])):
            return row, [RECORD], [NO_VALUE]
        return row, names, reasons


def not_understood(complaint: str) -> InvalidRequest:
    """Return the refusal of a body of which nothing is a JSON object; `complaint` is that of its first line."""
    return InvalidRequest(complaint or "The body is empty: send at least one JSON object")


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
    unreadable: int = 0
    understood: bool = False
    complaint: str = ""

    def add_unreadable(self, line: bytes) -> None:
        """Quarantine a line that is not a JSON object, or has broken text."""
        why = why_unreadable(line)
        self.unreadable += 1
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
