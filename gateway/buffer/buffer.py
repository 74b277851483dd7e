"""Buffer: rows in, batches out; durable behind a log, bounded in memory and on disk.

    append   rows of a request go to the log; when the log says they are durable they join their streams
    take     the next batch whose turn it is, sealed
    ack      it is in ClickHouse
    return   it is not; try again not before a moment
    split    it is replaced by smaller ones
    poison   it never will be; its rows go, quarantined, where quarantined rows go

Order: rows join their streams in the order of the log, before anyone who waits for the log is told. A seal can
therefore name its rows by one position.

Memory: sealed batches beyond half the memory limit are spilled, newest first, each to a file that holds the body of its
insert; the log is then free to forget them. So are those for whose sake the log grows long. Beyond the whole limit, or
beyond the disk budget, append refuses, and a data source that holds too much of them before others do; see `pressure`.

Longer than other modules because all of it changes one state, and the order of these changes is the point.

One loop, one owner: `server.py` starts, drains and closes it; the flusher calls take, ack, return, split and poison.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from gateway.buffer.accumulator import Accumulator, Stream
from gateway.buffer.batch import Batch, Commit, insert_body, spilled_batch, table, unstream
from gateway.buffer.layout import Layout
from gateway.buffer.options import BufferFull, BufferOptions
from gateway.buffer.pressure import ITEM_BYTES, Room, Shares, next_to_spill, weight
from gateway.buffer.records import Ack, Child, Data, Item, Poison, Record, Seal, Spill, Split, decode, encode
from gateway.buffer.recovery import Recovered, Replay, split, unknown
from gateway.buffer.spill import LayoutDirectory, SpillDamaged, SpillDirectory
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.core.ids import UlidSequence
from gateway.telemetry.logs import get_logger
from gateway.wal.log import Log, LogOptions, LogStats

_logger = get_logger(__name__)

# A log that takes so much of the disk budget has a batch at its beginning that cannot leave.
_LONG_LOG: Final = 1 / 4


class _Staged(NamedTuple):
    position: tuple[int, int]
    items: list[tuple[Layout, Item]]
    bytes: int
    commits: Sequence[Commit]


class _Group(NamedTuple):
    """Frames that become durable together: those with the same future."""

    durable: asyncio.Future[None]
    staged: list[_Staged]


class Buffer:
    """See the module."""

    def __init__(
        self, log: Log, layouts: LayoutDirectory, spill: SpillDirectory, options: BufferOptions, clock: Clock
    ) -> None:
        self._log = log
        self._layouts = layouts
        self._spill = spill
        self._options = options
        self._clock = clock
        self._accumulator = Accumulator(options.batch)
        self.is_in_doubt = self._accumulator.is_in_doubt
        self._kept_layouts: set[int] = set()
        self._groups: deque[_Group] = deque()  # what is on its way into the log, in its order
        self._ids = UlidSequence()
        self._segments: Counter[int] = Counter()  # how many batches and pending deletions need each segment
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._spilling = False
        self._closing = False
        self._shares = Shares()
        self.memory_bytes = 0
        self.pending_rows: Counter[str] = Counter()  # by data source id, quarantined rows included
        self.recovered_rows = 0
        self.damaged_frames = 0

    @classmethod
    def open(cls, directory: Path, log_options: LogOptions, options: BufferOptions, clock: Clock) -> "Buffer":
        """Open the log in `directory`, created if need be, and take up what it still owes.

        Raises:
            LogLocked: another process has it.
            UnknownLayout: what the log means cannot be told; a part of the directory is missing.
        """
        log, recovery = Log.open(directory, log_options, clock)
        layouts = LayoutDirectory(directory / "layouts")
        buffer = cls(log, layouts, SpillDirectory(directory / "spill"), options, clock)
        replay = Replay(layouts, clock.monotonic())
        for position, payload in recovery.frames():
            replay.take(position, decode(payload))
        buffer.damaged_frames += len(recovery.damage)
        for damage in recovery.damage:
            _logger.error("log.damaged", segment=damage.segment, offset=damage.offset, what=damage.what)
        buffer._adopt(replay.result)
        return buffer

    # --- what the ingest side calls ----------------------------------------------------------------------------------

    def append(self, items: list[tuple[Layout, Item]], commit: Commit | None = None) -> asyncio.Future[None]:
        """Write the rows of one request to the log, all or none; the future is done when they are durable.

        Others share the future: who awaits it shields it from being cancelled.

        Args:
            items: at least one.
            commit: hears when the last of these rows is in ClickHouse; the rows do not wait for their batch to fill.

        Raises:
            BufferFull, LogFull, LogPoisoned: nothing was kept. The future raises the latter two as well.
        """
        size = 0
        for layout, item in items:
            size += len(item.body) + ITEM_BYTES
            if layout.key not in self._kept_layouts:
                self._keep_layout(layout)
        if self.memory_bytes + size > self._options.memory_bytes_max:
            self._relieve()
            raise BufferFull("Too much is waiting to be stored, try again shortly", 1)
        if self.disk_bytes + size > self._options.disk_bytes_max:
            raise BufferFull("The disk budget for rows waiting to be stored is used up, try again later", 5)
        self._check_share(items[0][0].datasource_id, size)
        position, durable = self._log.append(encode(Data([item for _, item in items])))
        self._stage(durable, _Staged(position, items, size, (commit,) if commit else ()))
        return durable

    async def wait_for_room(self, seconds: float) -> None:
        """Return when rows have left, or after `seconds`."""
        self._room.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._room.wait()
        except TimeoutError:
            return

    @property
    def has_room(self) -> bool:
        """Would an append of ordinary size be taken now?"""
        return self.memory_bytes < self._options.memory_bytes_max and self.disk_bytes < self._options.disk_bytes_max

    # --- what the flush side calls -----------------------------------------------------------------------------------

    async def take(self) -> Batch | None:
        """Return the next batch whose turn it is; None when the buffer is closing and nothing is due.

        The batch is sealed and the seal durable.
        """
        while True:
            now = self._clock.monotonic()
            self._accumulator.crowded = self.memory_bytes * 3 > self._options.memory_bytes_max
            due = self._accumulator.next_due(now)
            if due is not None:
                batch = due.sealed.popleft() if due.sealed else self._seal(due)
                if batch is None:
                    continue
                due.taken = batch
                due.urgent = False
                return batch
            if self._closing:
                return None
            await self._sleep_until(self._accumulator.next_wake(now))

    async def body(self, batch: Batch) -> bytes:
        """Return the body of the insert of a taken batch, once everything it depends on is durable.

        Raises:
            SpillDamaged: its file was damaged.
        """
        await self._await_seal(batch)
        if batch.spilled:
            return await asyncio.to_thread(self._spill.read, batch.id)
        return await insert_body(batch.layout, batch.items, lambda: self._clock.sleep(0))

    async def ack(self, batch: Batch) -> None:
        """Record that a taken batch is in ClickHouse; durable when this returns, so that its stream may go on."""
        await self._finish(batch, Ack(batch.id))

    def return_(self, batch: Batch, retry_at: float) -> None:
        """Put a taken batch back, to be taken again not before `retry_at` (monotonic)."""
        owner = self._owner(batch)
        owner.taken = None
        owner.retry_at = retry_at
        self._accumulator.put_sealed(owner, batch, first=True)
        self._wake.set()

    def tell(self, batch: Batch, reason: str) -> None:
        """Let everyone who waits for the rows of a batch, or for those behind it, hear that a view of it fails."""
        self._owner(batch).tell(batch, reason)

    async def split(self, batch: Batch, cut: int) -> None:
        """Replace a taken batch by its rows before `cut` and those from `cut` on, to be taken in that order."""
        # The names sort where the parent stood, before the batches that were sealed after it.
        cuts = [Child(f"{batch.id}-0", 0, cut), Child(f"{batch.id}-1", cut, batch.rows)]
        children = [] if batch.spilled else split(batch, cuts)
        position = await self._log_control(Split(batch.id, cuts))
        if batch.spilled:
            self._segments[position[0]] += 1
            await asyncio.to_thread(self._spill.split, batch.id, cuts)
            self._forget_segment(position[0])
            children = [spilled_batch(batch.layout, c.batch, c.stop - c.start, self._clock.monotonic()) for c in cuts]
        else:
            for child in children:
                self._segments[child.first_segment] += 1
            self.memory_bytes += sum(map(weight, children)) - weight(batch)
            self._forget_segment(batch.first_segment)
        self._replace(batch, children)

    def _replace(self, batch: Batch, children: list[Batch]) -> None:
        owner = self._owner(batch)
        owner.taken = None
        for commit in batch.commits:
            for child in children:
                child.watch(commit)
            commit.settle()
        for child in reversed(children):
            self._accumulator.put_sealed(owner, child, first=True)
        self._wake.set()

    async def rows(self, batch: Batch) -> pa.Table:
        """Return the rows of a taken batch."""
        if batch.spilled:
            return unstream(await asyncio.to_thread(self._spill.read, batch.id))
        return table(batch.layout, batch.items)

    async def poison(self, batch: Batch, quarantined: list[tuple[Layout, Item]]) -> None:
        """Give up on a taken batch: its rows go, as `quarantined`, to the quarantine; one frame does both."""
        for layout, _ in quarantined:
            self._keep_layout(layout)
        await self._finish(batch, Poison(batch.id, [item for _, item in quarantined]), quarantined)

    # --- life --------------------------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Is every row that came in, in ClickHouse?"""
        return not self._accumulator.streams and not self._groups

    @property
    def log_stats(self) -> LogStats:
        """Counters of the log."""
        return self._log.stats

    def pending_bytes(self) -> Counter[str]:
        """Return the bytes of the rows that are not in ClickHouse, by data source id; looks at every batch."""
        return self._accumulator.pending_bytes()

    @property
    def disk_bytes(self) -> int:
        """Bytes of the log and of spilled batches."""
        return self._log.bytes_on_disk + self._spill.size_bytes

    def oldest_age_seconds(self) -> float:
        """Return the age of the oldest row that is not in ClickHouse, 0 if there is none."""
        opened = [b.opened_at for b in self._accumulator.batches()]
        return self._clock.monotonic() - min(opened) if opened else 0.0

    def drain(self) -> None:
        """Let everything be due at once; `take` returns None when nothing is left to take."""
        self._accumulator.draining = True
        self._wake.set()

    def stop(self) -> None:
        """Let `take` return None now."""
        self._closing = True
        self._wake.set()

    async def aclose(self) -> None:
        """Sync and let go of the log. What is not acked is found again by the next `open`."""
        self.stop()
        await self._log.aclose()

    # --- rows join their streams -------------------------------------------------------------------------------------

    def _stage(self, durable: asyncio.Future[None], staged: _Staged) -> None:
        self.memory_bytes += staged.bytes
        groups = self._groups
        if groups and groups[-1].durable is durable:
            groups[-1].staged.append(staged)
        elif durable.done() and not groups:
            self._settle(durable, staged)
        else:
            self._groups.append(_Group(durable, [staged]))
            # Invariant: added before anyone awaits the future, so rows join before anyone is told they are durable.
            durable.add_done_callback(self._settle_groups)

    def _settle_groups(self, _: asyncio.Future[None]) -> None:
        while self._groups and self._groups[0].durable.done():
            group = self._groups.popleft()
            had = self._accumulator.aging
            for staged in group.staged:
                self._settle(group.durable, staged)
            # What is open grows old by itself; `take` knows when.
            if self._accumulator.has_full or not had:
                self._wake.set()

    def _settle(self, durable: asyncio.Future[None], staged: _Staged) -> None:
        if durable.cancelled() or durable.exception() is not None:
            self.memory_bytes -= staged.bytes
            return
        now = self._clock.monotonic()
        for layout, item in staged.items:
            self._put(layout, item, staged.position, now, staged.commits)
        if self.memory_bytes * 3 > self._options.memory_bytes_max and not self._accumulator.crowded:
            self._accumulator.crowded = True
            self._wake.set()
        if self.memory_bytes * 2 > self._options.memory_bytes_max or self._is_log_long:
            self._relieve()

    def _put(
        self, layout: Layout, item: Item, position: tuple[int, int], now: float, commits: Sequence[Commit] = ()
    ) -> None:
        owner = self._accumulator.stream(layout)
        if self._accumulator.would_overfill(owner, item):
            self._seal_behind(owner)
        was_open = owner.open is not None
        batch = self._accumulator.add(owner, item, position, now)
        if not was_open:
            self._segments[batch.first_segment] += 1
        self.pending_rows[layout.datasource_id] += item.rows
        for commit in commits:
            self._accumulator.watch(owner, batch, commit)

    def _keep_layout(self, layout: Layout) -> None:
        try:
            self._layouts.put(layout)
        except OSError as error:
            raise BufferFull("The disk takes no more, try again later", 5) from error
        self._kept_layouts.add(layout.key)

    # --- batches -----------------------------------------------------------------------------------------------------

    def _seal(self, owner: Stream) -> Batch | None:
        batch = self._accumulator.close_open(owner)
        if batch is None:
            return None
        batch.id = self._ids.next(self._clock.now())
        batch.seal = Seal(batch.id, batch.layout.key, *batch.last_position, *owner.sealed_to)
        owner.sealed_to = batch.last_position
        try:
            _, batch.sealed = self._log.append(encode(batch.seal))
        except Unavailable:
            return batch  # `body` writes it when there is room
        batch.sealed.add_done_callback(_retrieve)
        return batch

    async def _await_seal(self, batch: Batch) -> None:
        """Return when the seal of `batch` is durable, however long the disk takes to have room for it."""
        if batch.seal is None:
            return
        try:
            if batch.sealed is not None:
                await asyncio.shield(batch.sealed)
        except Unavailable:
            batch.sealed = None
        if batch.sealed is None:
            await self._log_control(batch.seal)
        batch.seal = batch.sealed = None

    def _seal_behind(self, owner: Stream) -> None:
        batch = self._seal(owner)
        if batch is not None:
            self._accumulator.put_sealed(owner, batch)

    async def _finish(self, batch: Batch, record: Record, quarantined: list[tuple[Layout, Item]] | None = None) -> None:
        # Who waits for the batch waits for its quarantined rows instead.
        position = await self._log_control(record, quarantined, tuple(batch.commits) if quarantined else ())
        owner = self._owner(batch)
        owner.finish()
        if owner.sealed:
            self._accumulator.put_sealed(owner, owner.sealed.pop())
        if batch.spilled:
            self._segments[position[0]] += 1
            await asyncio.to_thread(self._spill.remove, batch.id)
            self._forget_segment(position[0])
        else:
            self.memory_bytes -= weight(batch)
            self._forget_segment(batch.first_segment)
        self._count_out(batch)
        self._accumulator.forget(owner)
        batch.settle()
        self._wake.set()
        self._room.set()

    async def _log_control(
        self, record: Record, rows: list[tuple[Layout, Item]] | None = None, commits: Sequence[Commit] = ()
    ) -> tuple[int, int]:
        """Write a control record; durable when this returns, however long the disk takes to have room for it.

        Rows that the record carries join their streams like those of a request, in the order of the log.
        """
        delay = 0.1
        size = sum(len(item.body) + ITEM_BYTES for _, item in rows or [])
        while True:
            try:
                position, durable = self._log.append(encode(record))
                if rows:
                    self._stage(durable, _Staged(position, rows, size, commits))
                await asyncio.shield(durable)
            except Unavailable as error:
                _logger.warning("log.control_record_delayed", error=str(error))
                await self._clock.sleep(delay)
                delay = min(delay * 2, 5.0)
            else:
                return position

    def _owner(self, batch: Batch) -> Stream:
        return self._accumulator.streams[batch.layout.key]

    def _count_out(self, batch: Batch) -> None:
        datasource = batch.layout.datasource_id
        self.pending_rows[datasource] -= batch.rows
        if self.pending_rows[datasource] <= 0:
            del self.pending_rows[datasource]

    def _forget_segment(self, segment: int) -> None:
        self._segments[segment] -= 1
        if self._segments[segment] <= 0:
            del self._segments[segment]
        needed = [self._log.segment, *self._segments]
        if self._groups:
            needed.append(self._groups[0].staged[0].position[0])
        self._log.release(min(needed))

    async def _sleep_until(self, moment: float | None) -> None:
        self._wake.clear()
        waited = None if moment is None else max(moment - self._clock.monotonic(), 0.0)
        try:
            async with asyncio.timeout(waited):
                await self._wake.wait()
        except TimeoutError:
            return

    # --- room --------------------------------------------------------------------------------------------------------

    def _check_share(self, datasource_id: str, size: int) -> None:
        """Return if a data source may have `size` bytes more, now that others may want them too.

        Raises:
            BufferFull: it may not.
        """
        memory = Room(self.memory_bytes, self._options.memory_bytes_max)
        disk = Room(self.disk_bytes, self._options.disk_bytes_max)
        if not (memory.is_short or disk.is_short):
            return
        now = self._clock.monotonic()
        if self._shares.is_stale(now):
            self._shares.count(self._accumulator.batches(), now)
        if not self._shares.take(datasource_id, size, memory, disk):
            self._relieve()
            raise BufferFull("Too much of this Data Source is waiting to be stored, try again shortly", 1)

    @property
    def _is_log_long(self) -> bool:
        return self._log.bytes_on_disk > self._options.disk_bytes_max * _LONG_LOG

    def _relieve(self) -> None:
        """Begin to move batches from memory to files, if that is not going on already."""
        if not self._spilling:
            self._spilling = True
            self._wake.set()

    async def spill_forever(self) -> None:
        """Move batches to files whenever memory asks for it. Runs beside the flusher, in its task group."""
        while not self._closing:
            if not self._spilling:
                await self._clock.sleep(0.05)
                continue
            batch = self._next_to_spill()
            if batch is None or not await self._spill_one(batch):
                self._spilling = False
                await self._clock.sleep(0.2)
            elif self.memory_bytes * 4 < self._options.memory_bytes_max and not self._is_log_long:
                self._spilling = False

    def _next_to_spill(self) -> Batch | None:
        """Return the batch that is to be spilled next, sealed for it if it is open."""
        found = next_to_spill(self._accumulator.streams.values(), is_log_long=self._is_log_long)
        if isinstance(found, Stream):
            self._seal_behind(found)
            return found.sealed[-1]
        return found

    async def _spill_one(self, batch: Batch) -> bool:
        batch.busy = True
        try:
            body = await self.body(batch)
            await asyncio.to_thread(self._spill.write, batch.id, batch.layout.key, batch.rows, body)
            await self._log_control(Spill(batch.id))
        except (OSError, Unavailable) as error:
            _logger.warning("buffer.spill_failed", error=str(error))
            return False
        else:
            self.memory_bytes -= weight(batch)
            batch.items, batch.spilled = [], True
            self._forget_segment(batch.first_segment)
            self._room.set()
            return True
        finally:
            batch.busy = False
            self._wake.set()

    # --- taking up a log ---------------------------------------------------------------------------------------------

    def _adopt(self, recovered: Recovered) -> None:
        now = self._clock.monotonic()
        for _, batch in sorted(recovered.batches.items()):
            self._adopt_batch(batch)
        for key, items in recovered.loose.items():
            layout = self._layouts.get(key) or unknown(key)
            for position, item in items:
                self._put(layout, item, position, now)
                self.memory_bytes += len(item.body) + ITEM_BYTES
        for parent, children in recovered.file_splits.items():
            if self._spill.has(parent):
                self._spill.split(parent, children)
        for batch_id in (*recovered.batches, *self._spill.ids()):
            self._ids.follow(batch_id)
        known = set(recovered.batches)
        for batch_id in self._spill.ids():
            if batch_id in known:
                if not recovered.batches[batch_id].spilled:
                    self._spill.remove(batch_id)
            else:
                self._adopt_spilled(batch_id)
        self.recovered_rows = sum(self.pending_rows.values())

    def _adopt_batch(self, batch: Batch) -> None:
        batch.attempts = 1  # it may have been sent
        self._accumulator.put_sealed(self._accumulator.stream(batch.layout), batch)
        self.pending_rows[batch.layout.datasource_id] += batch.rows
        if not batch.spilled:
            self._segments[batch.first_segment] += 1
            self.memory_bytes += weight(batch)

    def _adopt_spilled(self, batch_id: str) -> None:
        try:
            key, rows = self._spill.head(batch_id)
            layout = self._layouts.get(key)
        except SpillDamaged:
            layout = None
        if layout is None:
            self.damaged_frames += 1
            _logger.error("buffer.spill_unreadable", batch=batch_id)
            return
        batch = spilled_batch(layout, batch_id, rows, self._clock.monotonic())
        owner = self._accumulator.stream(layout)
        owner.insert_sealed(batch)
        self._accumulator.put_sealed(owner, owner.sealed.pop())
        self.pending_rows[layout.datasource_id] += rows


def _retrieve(future: asyncio.Future[None]) -> None:
    """Look at a future's exception, so that nobody is warned: who needs it awaits the future as well."""
    if not future.cancelled():
        future.exception()
