"""Batches: Arrow record batches → rows that fit a data source, and rows in quarantine."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from gateway.core.errors import InvalidRequest
from gateway.imports.arrowcolumns import ArrowColumn, ColumnFit, readable
from gateway.imports.arrowtexts import json_texts, object_text
from gateway.ingest.fit import Fitted, Fitter
from gateway.ingest.groups import NO_VALUE, Group
from gateway.ingest.jsonrows import needs_json_rows
from gateway.ingest.lines import RECORD
from gateway.ingest.plan import feeds
from gateway.ingest.quarantine import Quarantine, QuarantinedRow
from gateway.schema.columns import Schema

_SHOWN_NAMES: Final = 20


class BatchFitter:
    """Fits Arrow batches to one version of a data source. Immutable.

    Groups and their columns are numbered as those of `Fitter`; the columns are Arrow arrays of the transport types.
    """

    def __init__(self, schema: Schema) -> None:
        """Compile.

        Raises:
            InvalidRequest: see `Fitter`.
        """
        fitter = Fitter(schema)
        keeps_nan = not needs_json_rows(fitter.arrow_schema())
        self._feeds = feeds(schema)
        self.columns = fitter.columns
        self.arrow_schema = fitter.arrow_schema
        self._columns = [ArrowColumn(feed, keeps_nan=keeps_nan) for feed in self._feeds]
        self._quarantine: Quarantine = fitter.quarantine
        self.width = len(self._columns)

    def wanted(self, schema: pa.Schema) -> list[str] | None:
        """Return the names of the file's columns that are read; None is all.

        Raises:
            InvalidRequest: there are none.
        """
        if not all(feed.keys for feed in self._feeds):
            return None
        names = set(schema.names)
        found = list(dict.fromkeys(feed.keys[0] for feed in self._feeds if feed.keys[0] in names))
        if not found:
            has = ", ".join(schema.names[:_SHOWN_NAMES])
            reads = ", ".join([feed.path.text for feed in self._feeds[:_SHOWN_NAMES]])
            raise InvalidRequest(
                f"The Parquet file has none of the data source's columns: it has {has}; the data source reads {reads}"
            )
        return found

    def fit(self, batch: pa.RecordBatch, now: float, import_id: str) -> Fitted:
        """Fit the rows of `batch`, whose columns are the keys of each row; for the other arguments see `Fitter`."""
        fits = [column.fit(batch, now) for column in self._columns]
        refused = sorted({row for fit in fits for row in fit.refused})
        if len(refused) < batch.num_rows:
            empty = self._empty(fits)
            refused = sorted({*refused, *empty}) if empty else refused
        values = [fit.values for fit in fits]
        omitted = [(number, fit.omitted) for number, fit in enumerate(fits) if fit.omitted is not None]
        if refused:
            keep = pc.invert(pc.is_in(pa.array(range(batch.num_rows)), pa.array(refused, pa.int64())))
            values = [column.filter(keep) for column in values]
            omitted = [(number, mask.filter(keep)) for number, mask in omitted]
        count = batch.num_rows - len(refused)
        groups = _groups(values, omitted) if count else []
        if not refused:
            return Fitted(groups, count)
        rows = self._quarantined(batch, fits, refused)
        return Fitted(groups, count, len(refused), self._quarantine.columns(rows, now, import_id))

    def _empty(self, fits: Sequence[ColumnFit]) -> list[int]:
        """Return the rows that leave out every column, which could not be inserted."""
        masks = [fit.omitted for fit in fits]
        if any(mask is None for mask in masks):
            return []
        everything = masks[0]
        for mask in masks[1:]:
            everything = pc.and_(everything, mask)
        return pc.indices_nonzero(everything).to_pylist()  # type: ignore[no-any-return]

    def _quarantined(self, batch: pa.RecordBatch, fits: Sequence[ColumnFit], rows: list[int]) -> list[QuarantinedRow]:
        """Return the rows of `batch` with these numbers, and why each is refused."""
        bad = batch.take(pa.array(rows, pa.int64()))
        texts = [column.texts(bad) for column in self._columns]
        records = json_texts(bad.to_struct_array()) if bad.num_columns else [object_text((), ())] * len(rows)
        found = []
        for number, row in enumerate(rows):
            reasons = {
                feed.column.name: fit.refused[row]
                for feed, fit in zip(self._feeds, fits, strict=True)
                if row in fit.refused
            } or {RECORD: NO_VALUE}
            shown = [None if (text := column[number]) is None else readable(text) for column in texts]
            found.append(QuarantinedRow(list(reasons), list(reasons.values()), shown, records[number]))
        return found


def _groups(columns: list[Any], omitted: list[tuple[int, Any]]) -> list[Group]:
    """Return rows by the columns they leave out; within a group the order is kept."""
    parts: list[tuple[frozenset[int], list[Any], dict[int, Any]]] = [(frozenset(), columns, dict(omitted))]
    for number, _mask in omitted:
        halves = []
        for without, values, masks in parts:
            for is_omitted in (False, True):
                chosen = masks[number] if is_omitted else pc.invert(masks[number])
                kept = [column.filter(chosen) for column in values]
                if len(kept[0]):
                    halves.append(
                        (
                            without | {number} if is_omitted else without,
                            kept,
                            {other: mask.filter(chosen) for other, mask in masks.items()},
                        )
                    )
        parts = halves
    return [
        Group(without, [column for number, column in enumerate(values) if number not in without])
        for without, values, _masks in parts
    ]
