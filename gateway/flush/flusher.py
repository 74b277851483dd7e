"""Flusher: take → insert → ack, for ever.

One batch of a stream at a time, a few streams at once. An insert carries the batch's id as its deduplication token, so
sending it again, after a lost answer or a crash, changes nothing. What a failure means is `retry`'s to say; here it is
done. While ClickHouse is out, one batch at a time knocks, and the others wait for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

import pyarrow as pa

from gateway.buffer.batch import Batch, unstream
from gateway.buffer.buffer import Buffer
from gateway.buffer.layout import Layout
from gateway.buffer.records import Item
from gateway.buffer.spill import SpillDamaged
from gateway.clickhouse.errors import ServerError
from gateway.core.clock import Clock
from gateway.flush.retry import Kind, classify, delay_seconds, view_failure
from gateway.telemetry import metrics
from gateway.telemetry.logs import get_logger
from gateway.telemetry.oplog import harmless
from gateway.telemetry.tracing import Trace, Tracer, within

_logger = get_logger(__name__)


class Inserter(Protocol):
    """The way into ClickHouse."""

    async def insert(
        self,
        datasource_id: str,
        quarantine: bool,
        columns: list[str],
        body: bytes,
        token: str,
        *,
        is_json: bool = False,
    ) -> None:
        """Store `body`, rows of `columns`, once per `token`; committed when this returns.

        It is an Arrow IPC stream, or lines of JSON if `is_json`.

        Raises:
            ServerError: it was not confirmed. It may have landed all the same.
        """


QuarantineRow = Callable[[Layout, pa.Table, str], list[tuple[Layout, Item]] | None]
"""Given the layout, a table of one refused row, and the reason: that row, as its quarantine wants it.

None if the data source is not known any more: the next insert finds out whether it was dropped.
"""


@dataclass(frozen=True, slots=True)
class FlushOptions:
    """How the flusher works."""

    concurrency: int = 4
    label: Callable[[str], str] = str  # data source id → its name in metrics
    needs_json: Callable[[pa.Schema], bool] = lambda _: False  # must rows of this schema go as JSONEachRow?
    json_rows: Callable[[pa.Table], bytes] = lambda _: b""  # those rows, as the body of an insert
    view: Callable[[str], Awaitable[str]] | None = None  # table of a materialized view → its name in sentences
    tracer: Tracer | None = None


class Flusher:
    """Moves batches from one buffer to ClickHouse."""

    def __init__(
        self,
        buffer: Buffer,
        inserter: Inserter,
        quarantine: QuarantineRow,
        options: FlushOptions,
        clock: Clock,
        random: Random,
    ) -> None:
        self._buffer = buffer
        self._inserter = inserter
        self._quarantine = quarantine
        self._options = options
        self._clock = clock
        self._random = random
        self._outages = 0  # failed attempts in a row, over all streams, since ClickHouse last answered
        self._knock = asyncio.Lock()
        self._retry_at = 0.0
        for kind in Kind:  # shown before the first: what begins with one has not increased, for Prometheus
            metrics.flush_failures.labels(kind.value)
        self.failing: dict[str, str] = {}  # data source id → why its rows do not land just now

    async def run(self) -> None:
        """Move batches until the buffer says that there are no more."""
        slots = asyncio.Semaphore(self._options.concurrency)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                batch = await self._buffer.take()
                if batch is None:
                    return
                group.create_task(self._deliver(batch)).add_done_callback(lambda _: slots.release())

    @property
    def is_out(self) -> bool:
        """Did ClickHouse fail to answer the last time it was asked?"""
        return self._outages > 0

    async def _deliver(self, batch: Batch) -> None:
        if self._outages:
            async with self._knock:
                await self._wait_out()
                await self._attempt(batch)
        else:
            await self._attempt(batch)

    async def _wait_out(self) -> None:
        remaining = self._retry_at - self._clock.monotonic()
        if self._outages and remaining > 0:
            await self._clock.sleep(remaining)

    async def _attempt(self, batch: Batch) -> None:
        batch.attempts += 1
        started = self._clock.monotonic()
        trace = self._trace(batch) if batch.commits and self._options.tracer is not None else None
        failure = ""
        try:
            body = await self._buffer.body(batch)
            layout = batch.layout
            is_json = self._options.needs_json(layout.schema)
            if is_json:
                body = await asyncio.to_thread(lambda: self._options.json_rows(unstream(body)))
            with within(trace):
                await self._inserter.insert(
                    layout.datasource_id, layout.quarantine, layout.schema.names, body, batch.id, is_json=is_json
                )
        except ServerError as error:
            failure = harmless(str(error))
            await self._fail(batch, error)
        except SpillDamaged:
            failure = "its spill file is damaged"
            self._put_back(batch, Kind.HOLD, "its spill file is damaged")
        except Exception as error:
            # Our bug, or a machine in trouble: this batch waits for a person, the others go on.
            failure = type(error).__name__
            _logger.exception("flush.failed", batch=batch.id)
            self._put_back(batch, Kind.HOLD, f"{type(error).__name__}: {error}")
        else:
            self._outages = 0
            self.failing.pop(batch.layout.datasource_id, None)
            rows = batch.rows
            await self._buffer.ack(batch)
            name, now = self._options.label(layout.datasource_id), self._clock.monotonic()
            metrics.flushed(name, layout.quarantine, rows, len(body), now - started, now - batch.opened_at)
        if trace is not None:
            trace.end(failure)

    def _trace(self, batch: Batch) -> Trace | None:
        """Begin the span of an attempt to insert `batch`, if requests in it are traced."""
        requests = [commit.trace for commit in batch.commits if commit.trace is not None]
        if not requests or self._options.tracer is None:
            return None
        trace = self._options.tracer.insert(requests)
        trace.note("db.system.name", "clickhouse")
        trace.note("sluice.datasource", self._options.label(batch.layout.datasource_id))
        trace.note("sluice.is_quarantine", batch.layout.quarantine)
        trace.note("sluice.batch", batch.id)
        trace.note("sluice.rows", batch.rows)
        trace.note("sluice.attempt", batch.attempts)
        trace.note("sluice.waited_seconds", self._clock.monotonic() - batch.opened_at)
        return trace

    async def _fail(self, batch: Batch, error: ServerError) -> None:
        kind = classify(error.code, str(error))
        table, reason = view_failure(str(error))
        if reason:
            view = await self._options.view(table) if self._options.view else table
            self._buffer.tell(batch, f"{view}: {reason}" if view else reason)
        metrics.flush_failed(kind.value)
        if kind is Kind.DATA:
            self._outages = 0
            await self._bisect(batch, error)
            return
        if kind is Kind.OUTAGE:
            self._outages += 1
            wait = delay_seconds(kind, self._outages, self._random.random())
            self._retry_at = self._clock.monotonic() + wait
        else:
            self._outages = 0
        self._put_back(batch, kind, str(error))

    def _put_back(self, batch: Batch, kind: Kind, reason: str) -> None:
        wait = 0.0 if kind is Kind.OUTAGE else delay_seconds(kind, batch.attempts, self._random.random())
        self.failing[batch.layout.datasource_id] = reason
        log = _logger.error if kind is Kind.HOLD else _logger.warning
        log("flush.retry", batch=batch.id, kind=kind.value, attempts=batch.attempts, wait=round(wait, 2), reason=reason)
        self._buffer.return_(batch, self._clock.monotonic() + wait)

    async def _bisect(self, batch: Batch, error: ServerError) -> None:
        if batch.rows > 1:
            await self._buffer.split(batch, batch.rows // 2)
            return
        if batch.layout.quarantine:  # even its text is refused: nowhere else to go, so it is held
            self._put_back(batch, Kind.HOLD, str(error))
            return
        quarantined = self._quarantine(batch.layout, await self._buffer.rows(batch), str(error))
        if quarantined is None:
            self._put_back(batch, Kind.HOLD, "its data source is not known any more")
            return
        _logger.warning("flush.row_quarantined", datasource=batch.layout.datasource_id, reason=str(error))
        await self._buffer.poison(batch, quarantined)
        metrics.unfit({"refused": 1})
