"""Recovery: what the records of a log add up to. Pure: records in, batches out.

The story is told again in the order in which it happened: rows come in, are sealed into batches, batches are split,
spilled, acked or poisoned. What is left is what has to be sent: sealed batches under the ids they already have (one of
each layout may be in ClickHouse without our knowing; its id, being the deduplication token, keeps it from landing
twice), and rows that no seal ever named.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NoReturn

from gateway.buffer.batch import Batch, encode_batch, table
from gateway.buffer.layout import Layout, LayoutStore
from gateway.buffer.records import Ack, Child, Data, Item, Poison, Record, Seal, Spill, Split


class UnknownLayout(Exception):
    """The log names a layout that is not kept: its rows cannot be read."""


@dataclass(slots=True)
class Recovered:
    """What a log still owes."""

    batches: dict[str, Batch] = field(default_factory=dict)  # sealed, in the order of their seals
    loose: dict[int, deque[tuple[tuple[int, int], Item]]] = field(default_factory=dict)  # by layout, unsealed
    file_splits: dict[str, list[Child]] = field(default_factory=dict)  # of spilled batches

    def rows(self) -> int:
        """Rows in all."""
        return sum(b.rows for b in self.batches.values()) + sum(i.rows for d in self.loose.values() for _, i in d)


class Replay:
    """Takes records one by one; `result` is what they add up to so far."""

    def __init__(self, layouts: LayoutStore, now: float) -> None:
        self.result = Recovered()
        self._layouts = layouts
        self._now = now

    def take(self, position: tuple[int, int], record: Record) -> None:
        """Apply one record, found at `position`."""
        result = self.result
        match record:
            case Data(items=items):
                self._add(position, items)
            case Seal():
                self._seal(record)
            case Split():
                self._split(record)
            case Ack(batch=batch):
                result.batches.pop(batch, None)
            case Spill(batch=batch):
                if batch in result.batches:
                    spilled = result.batches[batch]
                    spilled.items, spilled.spilled = [], True
            case Poison(batch=batch, items=items):
                result.batches.pop(batch, None)
                self._add(position, items)

    def _add(self, position: tuple[int, int], items: list[Item]) -> None:
        for item in items:
            self.result.loose.setdefault(item.layout, deque()).append((position, item))

    def _seal(self, record: Seal) -> None:
        batch = Batch(self._layout(record.layout), self._now, record.segment)
        first, last = (record.after_segment, record.after_offset), (record.segment, record.offset)
        left: deque[tuple[tuple[int, int], Item]] = deque()
        for position, item in self.result.loose.get(record.layout, ()):
            if first < position <= last:
                batch.first_segment = min(batch.first_segment, position[0])
                batch.add(item, position)
            else:
                left.append((position, item))
        self.result.loose[record.layout] = left
        if batch.items:  # else its segments are gone: it was acked or spilled long ago
            batch.id = record.batch
            self.result.batches[record.batch] = batch

    def _split(self, record: Split) -> None:
        parent = self.result.batches.pop(record.batch, None)
        if parent is None or parent.spilled:
            self.result.file_splits[record.batch] = record.children
            return
        for child in split(parent, record.children):
            self.result.batches[child.id] = child

    def _layout(self, key: int) -> Layout:
        return self._layouts.get(key) or unknown(key)


def unknown(key: int) -> NoReturn:
    """Raise `UnknownLayout` for a layout that the log names."""
    raise UnknownLayout(f"{key:016x}")


def split(parent: Batch, children: list[Child]) -> list[Batch]:
    """Return the batches that `parent` is cut into. Their rows are in memory."""
    rows = table(parent.layout, parent.items)
    found = []
    for cut in children:
        piece = rows.slice(cut.start, cut.stop - cut.start).combine_chunks().to_batches()[0]
        child = Batch(parent.layout, parent.opened_at, parent.first_segment)
        child.add(encode_batch(parent.layout, piece), parent.last_position)
        child.id = cut.batch
        found.append(child)
    return found
