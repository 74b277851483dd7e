"""Arrow columns: what one column of a data source takes from Arrow batches, and what it refuses.

Kernels fit whole arrays (`arrowfit`); the values they leave over go the exact path of ingest as JSON text
(`arrowtexts`), one by one. A null is an explicit null, a null struct has no members: so the rules for missing values
and nulls (`plan`) are those of JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from gateway.imports.arrowfit import fit_array
from gateway.imports.arrowtexts import json_texts
from gateway.ingest.lines import is_utf8
from gateway.ingest.plan import ARRIVAL, OMIT, REFUSE, Feed
from gateway.ingest.transport import arrow_type
from gateway.ingest.unfit import Unfit, refusal
from gateway.schema.datatype import INTEGERS
from gateway.schema.jsonpath import EACH

_NULL: Final = b"null"


@dataclass(slots=True)
class ColumnFit:
    """What became of one column of a batch.

    Attributes:
        values: of the transport type, one for each row; null for rows that are refused or left out.
        omitted: true for rows that leave the column out; None: no row does.
        refused: number of the row → why.
    """

    values: pa.Array
    omitted: pa.Array | None = None
    refused: dict[int, str] = field(default_factory=dict)


class ArrowColumn:
    """Fits one column. Immutable."""

    __slots__ = ("_has_kernel", "_keeps_nan", "_target", "_whole", "feed")

    def __init__(self, feed: Feed, *, keeps_nan: bool) -> None:
        """Fit for `feed`.

        Args:
            feed: where the values are, and what is wanted.
            keeps_nan: NaN and the infinities reach the table as they are.
        """
        self.feed = feed
        self._target = arrow_type(feed.kind)
        element = _element(feed)
        self._has_kernel = element is not None
        self._keeps_nan = keeps_nan
        self._whole = _innermost(feed.kind.inner).name in INTEGERS

    def located(self, batch: pa.RecordBatch) -> tuple[pa.Array | None, pa.Array | None]:
        """Return the values at the keys of the path, and true where there is none; None: nowhere there is one."""
        feed = self.feed
        if not feed.keys:
            return batch.to_struct_array(), None
        array, missing = batch.to_struct_array(), None
        for key in feed.keys:
            parent, array = array, _member(array, key)
            if array is None:
                return None, None
            if parent.null_count:
                missing = _or(missing, parent.is_null())
        if missing is not None:
            array = pc.if_else(missing, pa.scalar(None, array.type), array)
        return array, missing

    def fit(self, batch: pa.RecordBatch, now: float) -> ColumnFit:
        """Return what the column takes of `batch`.

        Args:
            batch: its columns are the keys of the record.
            now: unix time of arrival.
        """
        array, missing = self.located(batch)
        if array is None:
            return self._by_rule(ColumnFit(pa.nulls(batch.num_rows, self._target)), None, now, None)
        found = self._fit_values(array)
        if not array.null_count:
            return found
        nulls = array.is_null()
        if missing is not None:
            found = self._by_rule(found, missing, now, None)
            nulls = pc.and_(nulls, pc.invert(missing))
        return self._by_rule(found, nulls, now, _NULL)

    def texts(self, batch: pa.RecordBatch) -> list[bytes | None]:
        """Return the JSON text of each value; None where there is none."""
        array, missing = self.located(batch)
        if array is None:
            return [None] * batch.num_rows
        texts: list[bytes | None] = list(json_texts(array, whole=self._whole))
        if missing is None:
            return texts
        return [None if absent else text for text, absent in zip(texts, missing.to_pylist(), strict=True)]

    def _fit_values(self, array: pa.Array) -> ColumnFit:
        """Fit what is not null."""
        fit = fit_array(array, self.feed.kind.inner) if self._has_kernel else None
        if fit is None:
            base, odd = pa.nulls(len(array), self._target), array.is_valid()
        elif fit.odd is None and self._keeps_nan:
            return ColumnFit(fit.values)
        else:
            base, odd = fit.values, fit.odd
            if not self._keeps_nan:
                odd = _or(odd, _not_finite(base))
        if odd is None:
            return ColumnFit(base)
        rows = pc.indices_nonzero(odd)
        return self._fit_exactly(base, rows.to_pylist(), array.take(rows))

    def _fit_exactly(self, base: pa.Array, rows: list[int], odd: pa.Array) -> ColumnFit:
        """Return `base` with the values of `rows` put in."""
        good: dict[int, Any] = {}
        refused: dict[int, str] = {}
        for row, text in zip(rows, json_texts(odd, whole=self._whole), strict=True):
            try:
                good[row] = self._exact(text)
            except Unfit as error:
                refused[row] = str(error)
        return ColumnFit(_replaced(base, good, self._target), None, refused)

    def _exact(self, text: bytes) -> Any:
        if not is_utf8(text):
            raise Unfit(refusal(self.feed.column, readable(text), "it is not valid UTF-8"))
        return self.feed.value(text)

    def _by_rule(self, found: ColumnFit, where: pa.Array | None, now: float, text: bytes | None) -> ColumnFit:
        """Apply the rule for what is missing, or null, to the rows that `where` says; None is all."""
        feed = self.feed
        rule = feed.missing if text is None else feed.null
        count = len(found.values)
        if where is not None and not pc.any(where, min_count=0).as_py():
            return found
        if rule is OMIT:
            found.omitted = _or(found.omitted, pa.repeat(True, count) if where is None else where)
        elif rule is REFUSE:
            try:
                feed.value(text)
            except Unfit as error:
                rows = range(count) if where is None else pc.indices_nonzero(where).to_pylist()
                found.refused.update(dict.fromkeys(rows, str(error)))
        elif rule is not None:
            value = feed.arrival(now) if rule is ARRIVAL and feed.arrival is not None else rule
            found.values = _filled(found.values, value, where, self._target)
        return found


def readable(text: bytes) -> bytes:
    """Return JSON text with bytes that are not UTF-8 in it as JSON text that shows them."""
    return text if is_utf8(text) else msgspec.json.encode(text[1:-1].decode(errors="backslashreplace"))


def _element(feed: Feed) -> object:
    """Return something unless the path has keys behind an array, for which no kernel is."""
    is_plain = all(step == EACH for step in feed.rest) and len(feed.rest) <= 1
    return feed if is_plain and feed.keys else None


def _innermost(kind: Any) -> Any:
    while kind.name == "Array":
        kind = kind.args[0].inner
    return kind


def _member(parent: pa.Array, key: str) -> pa.Array | None:
    """Return what struct or map `parent` has at `key`; of equal names the last; None if it has none such."""
    kind = parent.type
    if pa.types.is_struct(kind):
        numbers = kind.get_all_field_indices(key)
        return parent.field(numbers[-1]) if numbers else None
    if pa.types.is_map(kind) and pa.types.is_string(kind.key_type):
        return pc.map_lookup(parent, pa.scalar(key), "last")
    return None


def _not_finite(values: pa.Array) -> pa.Array | None:
    """Say where there is a float that is no number, also in arrays."""
    if pa.types.is_floating(values.type):
        found = pc.fill_null(pc.invert(pc.is_finite(values)), False)
    elif pa.types.is_list(values.type):
        below = _not_finite(values.flatten())
        if below is None:
            return None
        places = pc.unique(pc.filter(pc.list_parent_indices(values), below))
        found = pc.is_in(pa.array(range(len(values)), places.type), places)
    else:
        return None
    return found if pc.any(found, min_count=0).as_py() else None


def _or(one: pa.Array | None, other: pa.Array | None) -> pa.Array | None:
    if one is None or other is None:
        return one if other is None else other
    return pc.or_(one, other)


def _replaced(base: pa.Array, values: Mapping[int, Any], target: pa.DataType) -> pa.Array:
    if not values:
        return base
    new = pa.array(list(values.values()), target)
    if len(new) == len(base):
        return new
    places = list(range(len(base)))
    for number, row in enumerate(values):
        places[row] = len(base) + number
    return pa.concat_arrays([base, new]).take(pa.array(places, pa.int64()))


def _filled(base: pa.Array, value: Any, where: pa.Array | None, target: pa.DataType) -> pa.Array:
    constant = pa.array([value], target)
    places = pa.repeat(pa.scalar(len(base), pa.int64()), len(base))
    if where is not None:
        places = pc.if_else(where, places, pa.array(range(len(base)), pa.int64()))
    return pa.concat_arrays([base, constant]).take(places)
