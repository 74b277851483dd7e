"""Accumulator: when is a batch full, and whose turn is it? Pure: no clock, no log, no `await`.

A stream is the rows of one layout. It has at most one open batch, sealed ones in order, and at most one of its batches
is with the flusher, so the order of a stream is kept. All open batches grow old at the same rate, so the one opened
first is due first: finding what is due costs the same with one data source as with a thousand.

An insert costs ClickHouse several milliseconds however few rows it has. So only some batches a second are closed for
their age alone; with a thousand busy data sources they grow older, and larger, instead of taking all of its time.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

from gateway.buffer.batch import Batch, Commit
from gateway.buffer.layout import Layout
from gateway.buffer.records import Item


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is sealed: whichever is reached first."""

    rows_max: int = 100_000
    bytes_max: int = 32 * 1024 * 1024
    age_seconds_max: float = 1.0
    aged_per_second_max: float = 50.0  # batches closed for their age alone; more may be saved up, for a second


@dataclass(slots=True, eq=False)
class Stream:
    """The rows of one layout on their way."""

    layout: Layout
    open: Batch | None = None
    sealed: deque[Batch] = field(default_factory=deque)
    taken: Batch | None = None
    retry_at: float = 0.0  # monotonic; not before
    urgent: bool = False  # someone waits for the commit
    broken: str = ""  # why a view fails of the batch that has to go first
    sealed_to: tuple[int, int] = (0, 0)  # the position of the last row that is in a sealed batch

    def insert_sealed(self, batch: Batch) -> None:
        """Put `batch` back among the sealed ones by its id: ids sort by the time of their seals."""
        place = sum(1 for other in self.sealed if other.id < batch.id)
        self.sealed.insert(place, batch)

    def finish(self) -> None:
        """The taken batch is done: the next may go at once."""
        self.taken, self.retry_at, self.broken = None, 0.0, ""

    def watch(self, batch: Batch, commit: Commit) -> None:
        """Let `commit` hear when `batch` is done, or at once that it has to wait for a view."""
        batch.watch(commit)
        if self.broken:
            commit.tell(self.broken, is_behind=True)

    def tell(self, batch: Batch, reason: str) -> None:
        """Let everyone hear who waits for the rows of `batch`, or for those behind it, that a view of it fails."""
        self.broken = reason
        batch.tell(reason)
        for other in (*self.sealed, *filter(None, [self.open])):
            other.tell(reason, is_behind=True)

    @property
    def is_in_doubt(self) -> bool:
        """Whether a batch was sent before and will be sent again: it may have landed."""
        taken = self.taken is not None and self.taken.attempts > 1
        return taken or any(batch.attempts for batch in self.sealed)

    @property
    def is_empty(self) -> bool:
        """Nothing open, sealed or taken."""
        return self.open is None and not self.sealed and self.taken is None


class Accumulator:
    """All streams of one buffer."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self.streams: dict[int, Stream] = {}
        self._aging: dict[int, Stream] = {}  # streams with an open batch, oldest first
        self._full: dict[int, Stream] = {}  # streams with something to take whatever its age
        self._aged_tokens = limits.aged_per_second_max
        self._aged_tokens_at = 0.0  # monotonic
        self.draining = False
        self.crowded = False  # memory is wanted: no batch waits longer than its age

    def stream(self, layout: Layout) -> Stream:
        """Return the stream of `layout`, new if need be."""
        found = self.streams.get(layout.key)
        if found is None:
            found = self.streams[layout.key] = Stream(layout)
        return found

    def add(self, stream: Stream, item: Item, position: tuple[int, int], now: float) -> Batch:
        """Put rows into the open batch of `stream`, opened if need be, and return it."""
        batch = stream.open
        if batch is None:
            batch = stream.open = Batch(stream.layout, now, position[0])
            self._aging[stream.layout.key] = stream
        batch.add(item, position)
        if batch.rows >= self._limits.rows_max or batch.bytes >= self._limits.bytes_max:
            self._full[stream.layout.key] = stream
        return batch

    def would_overfill(self, stream: Stream, item: Item) -> bool:
        """Say whether `item` should go to the next batch rather than make this one larger than allowed."""
        batch = stream.open
        if batch is None:
            return False
        limits = self._limits
        return batch.rows + item.rows > limits.rows_max or batch.bytes + len(item.body) > limits.bytes_max

    def watch(self, stream: Stream, batch: Batch, commit: Commit) -> None:
        """Let `commit` hear of the open batch of `stream`, which is due now if somebody waits."""
        stream.watch(batch, commit)
        if commit.done is not None:
            self.hurry(stream)

    def hurry(self, stream: Stream) -> None:
        """Let the open batch of `stream` be due now."""
        stream.urgent = True
        self._full[stream.layout.key] = stream

    def close_open(self, stream: Stream) -> Batch | None:
        """Take the open batch out of `stream`, to be sealed by the caller."""
        batch, stream.open = stream.open, None
        self._aging.pop(stream.layout.key, None)
        return batch

    def put_sealed(self, stream: Stream, batch: Batch, first: bool = False) -> None:
        """Add a sealed batch, behind the others or (a returned one) before them."""
        if first:
            stream.sealed.appendleft(batch)
        else:
            stream.sealed.append(batch)
        self._full[stream.layout.key] = stream

    def next_due(self, now: float) -> Stream | None:
        """Return a stream whose turn it is: it has a full, urgent, sealed or old enough batch and none taken."""
        for key, stream in self._full.items():
            if self._may_take(stream, now):
                del self._full[key]
                return stream
        for stream in self._aging.values():
            if stream.open is None:
                continue
            if not self.draining and max(self._aged_at(stream.open), self._token_at(now)) > now:
                return None
            if self._may_take(stream, now):
                self._aged_tokens -= 1
                return stream
        return None

    def next_wake(self, now: float) -> float | None:
        """Return the moment (monotonic) at which `next_due` may find something; None if only an event can change it."""
        moments = [s.retry_at for s in self._full.values() if not self._is_held(s)]
        for stream in self._aging.values():
            if stream.open is not None and not self._is_held(stream):
                moments.append(max(self._aged_at(stream.open), self._token_at(now), stream.retry_at))
                if stream.retry_at <= now:
                    break
        return min(moments, default=None)

    def forget(self, stream: Stream) -> None:
        """Drop a stream that has nothing left."""
        if stream.is_empty:
            self.streams.pop(stream.layout.key, None)
            self._full.pop(stream.layout.key, None)

    def batches(self) -> list[Batch]:
        """Return every batch there is."""
        found = []
        for stream in self.streams.values():
            found += [b for b in (stream.taken, *stream.sealed, stream.open) if b is not None]
        return found

    def is_in_doubt(self, datasource_id: str) -> bool:
        """Say whether rows of a data source are in doubt; see `Stream.is_in_doubt`."""
        return any(s.is_in_doubt for s in self.streams.values() if s.layout.datasource_id == datasource_id)

    def pending_bytes(self) -> Counter[str]:
        """Return the bytes of all rows by data source id."""
        found: Counter[str] = Counter()
        for batch in self.batches():
            found[batch.layout.datasource_id] += batch.bytes
        return found

    @property
    def has_full(self) -> bool:
        """Is there something to take whatever its age, if its stream is free?"""
        return bool(self._full)

    @property
    def aging(self) -> int:
        """How many open batches there are."""
        return len(self._aging)

    def _aged_at(self, batch: Batch) -> float:
        return batch.opened_at + self._limits.age_seconds_max

    def _token_at(self, now: float) -> float:
        """Return the moment at which one more batch may be closed for its age; tops up what was saved."""
        if self.crowded or self.draining:
            return now
        rate = self._limits.aged_per_second_max
        passed = max(now - self._aged_tokens_at, 0.0)
        self._aged_tokens = min(max(rate, 1.0), self._aged_tokens + passed * rate)
        self._aged_tokens_at = now
        return now if self._aged_tokens >= 1 else now + (1 - self._aged_tokens) / rate

    @staticmethod
    def _is_held(stream: Stream) -> bool:
        """Someone works on the batch whose turn it is; they will say when they are done."""
        return stream.taken is not None or bool(stream.sealed and stream.sealed[0].busy)

    @classmethod
    def _may_take(cls, stream: Stream, now: float) -> bool:
        if cls._is_held(stream) or stream.retry_at > now:
            return False
        return bool(stream.sealed) or stream.open is not None
