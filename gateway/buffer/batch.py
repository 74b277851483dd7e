"""Batch: rows of one layout that will be inserted together, and the receipts of those who wait for them.

A batch is open (takes rows), sealed (has an id, takes none), taken (an insert runs), and then acked, split or poisoned.
Its rows are kept as the encoded items of the log; `table` decodes them once, at the insert.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pyarrow as pa

from gateway.buffer.layout import Layout
from gateway.buffer.records import CODEC_ARROW, CODEC_MSGPACK, Item, Seal
from gateway.telemetry.tracing import LINKS_MAX, Trace

# Rows of small items that become one Arrow batch: enough to be worth the calls, few enough to stay in the processor's
# cache (a third faster than all at once).
_ROWS_AT_ONCE: Final = 2048
# Rows of a chunk of an insert: enough for the engine not to notice (0.1 ms a chunk), few enough to stay in the cache.
_CHUNK_ROWS: Final = 8192
_STREAM_END: Final = b"\xff\xff\xff\xff\0\0\0\0"
# What an Arrow stream has besides its schema and its batches: marks and padding.
_STREAM_BYTES: Final = 256


@dataclass(slots=True)
class Commit:
    """One request's wish to hear that its rows are in ClickHouse; resolved when its last batch is done.

    `done`: None if nobody waits, and the rows need not hurry. `trace`: of the request, for the spans of inserts.
    `broken`: why a view lacks some of the rows, which are in their table; "" if none does, as far as is known.
    `is_behind`: those are rows of others, behind which these wait.
    """

    done: asyncio.Future[None] | None
    trace: Trace | None = None
    outstanding: int = 0
    broken: str = ""
    is_behind: bool = False

    def settle(self) -> None:
        """One of its batches is done."""
        self.outstanding -= 1
        if self.outstanding == 0 and self.done is not None and not self.done.done():
            self.done.set_result(None)

    def tell(self, reason: str, *, is_behind: bool) -> None:
        """Whoever waits hears at once that a view fails: that may last."""
        self.broken, self.is_behind = reason, is_behind
        if self.done is not None and not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class Batch:
    """Rows of one layout. Owned by the buffer; the flusher holds it between take and ack."""

    layout: Layout
    opened_at: float  # monotonic
    first_segment: int
    id: str = ""
    items: list[Item] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    last_position: tuple[int, int] = (0, 0)
    attempts: int = 0
    spilled: bool = False
    busy: bool = False  # being written to its spill file: not to be taken
    seal: Seal | None = None  # as it is, or will be, in the log
    sealed: asyncio.Future[None] | None = None  # the seal is durable
    commits: list[Commit] = field(default_factory=list)

    def add(self, item: Item, position: tuple[int, int]) -> None:
        """Take rows in. The batch must be open."""
        assert not self.id
        self.items.append(item)
        self.rows += item.rows
        self.bytes += len(item.body)
        self.last_position = position

    def watch(self, commit: Commit) -> None:
        """Let `commit` hear when this batch is done. Of those only traced, more than a span names are let go."""
        if commit.done is None and len(self.commits) >= LINKS_MAX:
            return
        commit.outstanding += 1
        self.commits.append(commit)

    def tell(self, reason: str, *, is_behind: bool = False) -> None:
        """Tell everyone who waits that a view fails: `reason`. The batch stays what it is.

        `is_behind`: a view of other rows, which have to go first.
        """
        for commit in self.commits:
            commit.tell(reason, is_behind=is_behind)

    def settle(self) -> None:
        """Tell everyone who waits that the rows are where they belong."""
        for commit in self.commits:
            commit.settle()
        self.commits.clear()


def encode_rows(layout: Layout, columns: list[list[Any]], rows: int, arrow_rows_min: int = 150) -> Item:
    """Return `columns` (columns × rows, canonical values) as one item.

    Args:
        layout: names and types; `pa.array(column, type)` must hold for every column.
        columns: not modified.
        rows: the length of every column.
        arrow_rows_min: from how many rows on Arrow is the cheaper way to the insert, all in all (measured).
    """
    if rows < arrow_rows_min:
        return Item(layout.key, rows, CODEC_MSGPACK, _encode_columns(columns))
    return encode_batch(layout, _record_batch(layout.schema, columns))


def encode_batch(layout: Layout, batch: pa.RecordBatch) -> Item:
    """Return one Arrow record batch of the layout's schema as an item."""
    return Item(layout.key, batch.num_rows, CODEC_ARROW, batch.serialize().to_pybytes())


def table(layout: Layout, items: list[Item]) -> pa.Table:
    """Return the rows of `items`, in order, as one table of one chunk."""
    batches: list[pa.RecordBatch] = []
    columns: list[list[Any]] = []
    for item in items:
        if item.codec == CODEC_MSGPACK:
            decoded = _decode_columns(item.body)
            if columns:
                for column, values in zip(columns, decoded, strict=True):
                    column.extend(values)
            else:
                columns = decoded
            if len(columns[0]) >= _ROWS_AT_ONCE:
                batches.append(_record_batch(layout.schema, columns))
                columns = []
            continue
        if columns:
            batches.append(_record_batch(layout.schema, columns))
            columns = []
        batches.append(pa.ipc.read_record_batch(pa.py_buffer(item.body), layout.schema))
    if columns:
        batches.append(_record_batch(layout.schema, columns))
    return pa.Table.from_batches(batches, schema=layout.schema).combine_chunks()


def stream(rows: pa.Table) -> bytes:
    """Return `rows` as an Arrow IPC stream: the body of one insert."""
    batches = rows.to_batches()
    # Written into room of the right size: a sink that grows copies everything two times more.
    size = _STREAM_BYTES + rows.schema.serialize().size + sum(map(pa.ipc.get_record_batch_size, batches))
    buffer = pa.allocate_buffer(size)
    sink = pa.FixedSizeBufferWriter(buffer)
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return memoryview(buffer)[: sink.tell()].tobytes()


async def insert_body(layout: Layout, items: list[Item], pause: Callable[[], Awaitable[None]]) -> bytes:
    """Return the rows of `items` as `stream(table(...))` does, but in several chunks.

    Args:
        layout: of the items.
        items: at least one.
        pause: called between chunks, each about a millisecond of work. So this needs no thread, which would wait for
            the interpreter's lock a hundred times while the loop is busy.
    """
    pieces = [layout.schema.serialize().to_pybytes()]
    for run in _runs(items):
        if len(pieces) > 1:
            await pause()
        # What was logged as one batch is a message of the stream already.
        is_message = len(run) == 1 and run[0].codec == CODEC_ARROW
        pieces.append(run[0].body if is_message else table(layout, run).to_batches()[0].serialize().to_pybytes())
    return b"".join((*pieces, _STREAM_END))


def _runs(items: list[Item]) -> Iterator[list[Item]]:
    """Yield `items` in runs of about `_CHUNK_ROWS` rows."""
    run: list[Item] = []
    rows = 0
    for item in items:
        run.append(item)
        rows += item.rows
        if rows >= _CHUNK_ROWS:
            yield run
            run, rows = [], 0
    if run:
        yield run


def unstream(body: bytes) -> pa.Table:
    """Return the rows of an insert's body: what `stream` undoes."""
    return pa.ipc.open_stream(pa.py_buffer(body)).read_all().combine_chunks()


def spilled_batch(layout: Layout, batch_id: str, rows: int, now: float) -> Batch:
    """Return the sealed batch whose rows lie in the spill file `batch_id`."""
    return Batch(layout, now, 0, id=batch_id, rows=rows, spilled=True)


_encode_columns = msgspec.msgpack.Encoder().encode
_decode_columns = msgspec.msgpack.Decoder(list[list[Any]]).decode


def _record_batch(schema: pa.Schema, columns: list[list[Any]]) -> pa.RecordBatch:
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
