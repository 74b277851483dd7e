"""Ingest: the story of one request, in one function.

Bytes are fitted to the data source, what fits and what does not goes to the buffer in one piece, and the answer is
given when that is durable; or, if the client wants to wait, when it is in ClickHouse.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from gateway.buffer.batch import Commit, encode_rows
from gateway.buffer.buffer import Buffer
from gateway.buffer.layout import Layout
from gateway.buffer.options import BufferFull
from gateway.buffer.records import Item
from gateway.core.clock import Clock
from gateway.core.turns import Turns
from gateway.ingest.fit import Fitted, Fitter
from gateway.ingest.intake import PART_BYTES, Intake
from gateway.ingest.quarantine import kinds
from gateway.schema.columns import Schema
from gateway.telemetry import metrics
from gateway.telemetry.tracing import Trace

# Compiled plans kept; more data sources than this in use at once are compiled again now and then (about 1 ms each).
_PLANS_MAX: Final = 4096


Keep = Callable[[bytes, str, Trace | None], tuple[asyncio.Future[None], int, int]]
"""See `Ingestor.keeper`."""


class Destination(Protocol):
    """What ingest needs to know of a data source."""

    @property
    def id(self) -> str:
        """Its id; rows are kept under it."""

    @property
    def version(self) -> int:
        """Grows when the schema changes."""

    @property
    def schema(self) -> Schema:
        """The parsed schema."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Bounds of one request's wait."""

    hold_seconds_max: float = 2.0
    wait_seconds_max: float = 30.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a body. The rows are durable; `committed`: they are in ClickHouse as well.

    `broken`: they are in their table, but a view lacks them, for this reason; with `is_behind` they are not there yet:
    they wait behind others of which that is true.
    """

    rows: int
    quarantined: int
    committed: bool
    broken: str = ""
    is_behind: bool = False


class _Plan:
    """A data source at one version: how to fit, and the layouts of what comes out."""

    __slots__ = ("datasource_id", "fitter", "layouts", "quarantine")

    def __init__(self, destination: Destination) -> None:
        self.datasource_id = destination.id
        self.fitter = Fitter(destination.schema)
        self.quarantine = Layout.of(destination.id, True, self.fitter.quarantine_schema)
        self.layouts: dict[frozenset[int], Layout] = {}

    def layout(self, omitted: frozenset[int]) -> Layout:
        found = self.layouts.get(omitted)
        if found is None:
            found = Layout.of(self.datasource_id, False, self.fitter.arrow_schema(omitted))
            self.layouts[omitted] = found
        return found

    def items(self, fitted: Fitted) -> list[tuple[Layout, Item]]:
        items = []
        for group in fitted.groups:
            layout = self.layout(group.omitted)
            items.append((layout, encode_rows(layout, group.columns, len(group.columns[0]))))
        if fitted.quarantined:
            columns = fitted.quarantine_columns
            metrics.unfit(kinds(columns))
            items.append((self.quarantine, encode_rows(self.quarantine, columns, fitted.quarantined)))
        return items


class _Kept:
    """What became of a body so far: its rows as they are logged, and how many."""

    __slots__ = ("_plan", "items", "quarantined", "rows")

    def __init__(self, plan: _Plan, fitted: Fitted | None = None) -> None:
        self._plan = plan
        self.items: list[tuple[Layout, Item]] = []
        self.rows = 0
        self.quarantined = 0
        self.add(fitted)

    def add(self, fitted: Fitted | None) -> None:
        if fitted is not None:
            self.items += self._plan.items(fitted)
            self.rows += fitted.rows
            self.quarantined += fitted.quarantined


async def _cut(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), PART_BYTES):
        yield body[at : at + PART_BYTES]


def quarantine_refused(destination: Destination, row: pa.Table, reason: str, now: float) -> list[tuple[Layout, Item]]:
    """Return a row that fitted but which ClickHouse refused, as its quarantine wants it."""
    fitter = Fitter(destination.schema)
    layout = Layout.of(destination.id, True, fitter.quarantine_schema)
    return [(layout, encode_rows(layout, fitter.quarantine.refused(row, reason, now), 1))]


class Ingestor:
    """Takes the bodies of events. One per worker."""

    def __init__(self, buffer: Buffer, options: IngestOptions, clock: Clock) -> None:
        self._buffer = buffer
        self._options = options
        self._clock = clock
        self._turns = Turns()
        self._plans: OrderedDict[tuple[str, int], _Plan] = OrderedDict()

    def keeper(self, destination: Destination) -> Keep:
        """Return a function for small bodies of NDJSON.

        It fits and keeps the events of a body, given the import id and the trace, and returns when they are durable (a
        future that others share: it must not be cancelled; if it fails, nothing was kept), rows and quarantined rows.

        It raises InvalidRequest, TooLarge, BufferFull, LogFull or LogPoisoned: nothing was kept.
        """
        plan = self._plan(destination)
        fit, items, append, now = plan.fitter.fit_ndjson, plan.items, self._buffer.append, self._clock.now

        def keep(body: bytes, import_id: str, trace: Trace | None) -> tuple[asyncio.Future[None], int, int]:
            fitted = fit(body, now(), import_id)
            commit = None if trace is None else Commit(None, trace)
            return append(items(fitted), commit), fitted.rows, fitted.quarantined

        return keep

    async def submit(
        self,
        destination: Destination,
        body: bytes,
        *,
        whole: bool,
        wait: bool,
        import_id: str,
        trace: Trace | None = None,
    ) -> Receipt:
        """Fit and keep the events in `body`; return when what the receipt says is true.

        Args:
            destination: where they go.
            body: NDJSON in UTF-8; with `whole` one JSON object or an array of them.
            whole: see `body`.
            wait: return only when the rows are in ClickHouse, or after `wait_seconds_max`.
            import_id: of the request; quarantined rows show it.
            trace: of the request.

        Raises:
            InvalidRequest: nothing in the body could be read; nothing was kept.
            BufferFull, LogFull, LogPoisoned: no room, for longer than a request may be held; nothing was kept.
        """
        if not whole and len(body) > PART_BYTES:
            return await self.submit_pieces(destination, _cut(body), wait=wait, import_id=import_id, trace=trace)
        plan = self._plan(destination)
        fit = plan.fitter.fit_json if whole else plan.fitter.fit_ndjson
        if len(body) <= PART_BYTES:
            kept = _Kept(plan, fit(body, self._clock.now(), import_id))
        else:
            kept = await asyncio.to_thread(lambda: _Kept(plan, fit(body, self._clock.now(), import_id)))
        return await self._keep(kept, wait=wait, trace=trace)

    async def submit_pieces(
        self,
        destination: Destination,
        pieces: AsyncIterator[bytes],
        *,
        wait: bool,
        import_id: str,
        trace: Trace | None = None,
    ) -> Receipt:
        """Fit the events of a body while it arrives, and keep them when all of it is there; otherwise as `submit`.

        Args:
            destination: see `submit`.
            pieces: of the body, NDJSON in UTF-8; cut anywhere. What it raises is raised, and nothing was kept.
            wait: see `submit`.
            import_id: see `submit`.
            trace: see `submit`.

        Raises:
            TooLarge: there are too many rows; nothing was kept.
        """
        plan = self._plan(destination)
        kept = _Kept(plan)
        intake = Intake(plan.fitter, self._clock.now(), import_id)
        async with aclosing(pieces):  # type: ignore[type-var]
            async for piece in pieces:
                await self._turns.wait(len(piece))
                kept.add(intake.take(piece))
        kept.add(intake.finish())
        return await self._keep(kept, wait=wait, trace=trace)

    async def _keep(self, kept: _Kept, *, wait: bool, trace: Trace | None) -> Receipt:
        done = asyncio.get_running_loop().create_future() if wait else None
        commit = Commit(done, trace) if wait or trace is not None else None
        # Shielded: if the client goes away, the rows still join their batch when the log has them.
        await asyncio.shield(await self._append(kept.items, commit))
        committed = done is not None and await self._committed(done)
        if commit is None or done is None:  # nobody asked what becomes of the rows
            return Receipt(kept.rows, kept.quarantined, committed=False)
        return Receipt(kept.rows, kept.quarantined, committed and not commit.broken, commit.broken, commit.is_behind)

    async def _append(self, items: list[tuple[Layout, Item]], commit: Commit | None) -> asyncio.Future[None]:
        try:
            return self._buffer.append(items, commit)
        except BufferFull:
            deadline = self._clock.monotonic() + self._options.hold_seconds_max
        while True:
            remaining = deadline - self._clock.monotonic()
            await self._buffer.wait_for_room(max(remaining, 0.0))
            try:
                return self._buffer.append(items, commit)
            except BufferFull:
                if self._clock.monotonic() >= deadline:
                    raise

    async def _committed(self, done: asyncio.Future[None]) -> bool:
        try:
            async with asyncio.timeout(self._options.wait_seconds_max):
                await asyncio.shield(done)
        except TimeoutError:
            return False
        return True

    def _plan(self, destination: Destination) -> _Plan:
        key = (destination.id, destination.version)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Plan(destination)
            if len(self._plans) > _PLANS_MAX:
                self._plans.popitem(last=False)
        return plan
