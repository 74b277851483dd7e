"""Pressure: who may take more room when it runs short, and what is moved from memory to files. Pure.

A data source may hold at most `SHARE` times as much as is free. So a single one that floods the buffer, or whose rows
cannot land, gets 8/9 of the room, two get 8/17 each; and however many want all of it, something is free for whoever has
little. (Dynamic thresholds: Choudhury and Hahne, 1998.)
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from gateway.buffer.accumulator import Stream
from gateway.buffer.batch import Batch

ITEM_BYTES: Final = 200
"""What a queued item costs in memory beside its body: the item, its place in two deques."""

SHARE: Final = 8
# Looking at every batch takes a while; in between, what came is added.
_COUNT_SECONDS: Final = 0.1


def weight(batch: Batch) -> int:
    """Return what a batch takes in memory, in bytes."""
    return batch.bytes + ITEM_BYTES * len(batch.items)


class Room(NamedTuple):
    """Bytes that are used, of those there are."""

    used: int
    most: int

    @property
    def is_short(self) -> bool:
        """Whether there is less left than used: before, nobody can hold too much."""
        return self.used * 2 > self.most


class Shares:
    """What each data source holds, about."""

    def __init__(self) -> None:
        self._memory: Counter[str] = Counter()
        self._disk: Counter[str] = Counter()
        self._disk_all = 0
        self._stale_at = 0.0  # monotonic

    def is_stale(self, now: float) -> bool:
        """Say whether it is time to `count` again."""
        return now >= self._stale_at

    def count(self, batches: Iterable[Batch], now: float) -> None:
        """Take what is held from `batches`: all there are."""
        self._memory.clear()
        self._disk.clear()
        for batch in batches:
            datasource = batch.layout.datasource_id
            self._disk[datasource] += batch.bytes
            if not batch.spilled:
                self._memory[datasource] += weight(batch)
        self._disk_all = self._disk.total()
        self._stale_at = now + _COUNT_SECONDS

    def take(self, datasource_id: str, size: int, memory: Room, disk: Room) -> bool:
        """Say whether a data source may have `size` bytes more, and count them if so."""
        of_memory, of_disk = self._memory[datasource_id] + size, self._disk[datasource_id] + size
        # The disk holds more than rows, some of them twice; each data source answers for its part of all of it.
        held = (disk.used + size) * of_disk / (self._disk_all + size)
        if of_memory > SHARE * (memory.most - memory.used - size) or held > SHARE * (disk.most - disk.used - size):
            return False
        self._memory[datasource_id], self._disk[datasource_id] = of_memory, of_disk
        self._disk_all += size
        return True


def next_to_spill(streams: Collection[Stream], *, is_log_long: bool) -> Batch | Stream | None:
    """Return the batch to be moved from memory to a file, or the stream whose open one is.

    For memory it is the newest sealed one, whose turn comes last, or the largest open one. If the log is long, it is
    the one that has been there longest: all that was logged after it stays because of it.
    """
    sealed = [batch for owner in streams for batch in owner.sealed if not batch.spilled and not batch.busy]
    opened = [(owner.open, owner) for owner in streams if owner.open is not None]
    if is_log_long:
        oldest = min(sealed, key=lambda batch: batch.first_segment, default=None)
        first = min(opened, key=lambda pair: pair[0].first_segment, default=None)
        if oldest is not None and (first is None or oldest.first_segment <= first[0].first_segment):
            return oldest
        return first and first[1]
    if sealed:
        return max(sealed, key=lambda batch: batch.id)
    return max(opened, key=lambda pair: pair[0].bytes)[1] if opened else None
