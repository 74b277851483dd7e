"""Runner: statements in threads. Who may run now, under which id, in which session; cancelling; draining.

A statement occupies a slot from here until its thread is done, whatever became of the request that brought it. Reads
may not take every slot: a client that does not read its answer keeps one, and must not be able to stop inserts.

    slots   threads_max; reads at most three quarters of them
    queue   queue_max reads and as many others may wait for a slot; the next is refused
    order   first come, first served
    gate    while it is closed (`pause`), nothing begins that may write; see `hold`
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from gateway.core.clock import Clock
from gateway.engine.call import Call, Params, quote
from gateway.engine.errors import (
    ABORTED,
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    EngineError,
)
from gateway.engine.library import Library, Link, Outcome
from gateway.engine.links import Key, Links, key_of
from gateway.engine.options import EngineOptions
from gateway.engine.session import Session, Sessions, prepare, prepare_again
from gateway.engine.statement import OUR_ID

_CANCEL_RETRY_SECONDS = 0.05
_CANCEL_SECONDS = 5.0


@dataclass(slots=True)
class Work:
    """A statement to run."""

    text: bytes
    """The statement, or its beginning."""
    job: Callable[[Link], Outcome]
    """Runs it on a connection that is ready for it; blocks, in a thread."""
    done: Callable[[], None]
    """Called from the thread when it has ended, however it did."""
    reads: bool
    """Whether it looks like a read."""
    params: Params
    """Values of placeholders that have to be set on the connection."""
    session: Session | None = None
    key: Key | None = None
    link: Link | None = None


class Runner:
    """Runs statements; belongs to the loop."""

    def __init__(self, library: Library, options: EngineOptions, clock: Clock) -> None:
        self._library = library
        self._clock = clock
        self._queue_max = options.queue_max
        self._sessions = Sessions(library, options, clock)
        self._links = Links(options.threads_max)
        self._threads = ThreadPoolExecutor(options.threads_max, "statement")
        self._control = ThreadPoolExecutor(1, "control")
        self._slots = asyncio.Semaphore(options.threads_max)
        self._read_slots = asyncio.Semaphore(max(1, options.threads_max - options.threads_max // 4))
        self._running: dict[str, asyncio.Future[Outcome]] = {}
        self._waiting = {True: 0, False: 0}
        self._writing: set[asyncio.Future[Outcome]] = set()
        self._gate = asyncio.Event()
        self._gate.set()
        self._is_draining = False

    async def start(self, call: Call, work: Work) -> "Run":
        """Start a statement as soon as there is a slot.

        Args:
            call: the request; its id must not be running.
            work: the statement; its `done` is called unless this raises.

        Raises:
            EngineError: too many wait already, the id is taken, the session is not to be had, or we are stopping.
        """
        if self._is_draining:
            raise EngineError(ABORTED, "The engine is stopping")
        if call.query_id in self._running:
            raise EngineError(
                QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, f"Query with id = {call.query_id} is already running."
            )
        await self._take_slot(work.reads)
        try:
            # A read-only session would be one for ever: such a call is fenced on a connection of its own.
            if call.session is not None and call.readonly != 1:
                work.session = self._sessions.take(call.session)
            else:
                work.key = None if work.params else key_of(call)
                work.link = self._links.take(work.key)
        except BaseException:
            self._free_slot(work.reads)
            raise
        future = asyncio.get_running_loop().run_in_executor(self._threads, self._run, call, work)
        self._running[call.query_id] = future
        if not work.reads:
            self._writing.add(future)
        future.add_done_callback(partial(self._ended, call.query_id, work))
        return Run(self, call.query_id, future)

    def pause(self) -> set[asyncio.Future[Outcome]]:
        """Let nothing begin that may write, until `resume`; return what of it runs still."""
        self._gate.clear()
        return set(self._writing)

    def resume(self) -> None:
        """Let everything begin again. Safe twice."""
        self._gate.set()

    async def cancel(self, query_id: str, seconds: float = _CANCEL_SECONDS) -> None:
        """Cancel the statement, and return when it has ended, or has not heard for `seconds`."""
        future = self._running.get(query_id)
        loop = asyncio.get_running_loop()
        deadline = self._clock.monotonic() + seconds
        # Again and again, because a statement that has only just begun may not be on the engine's list yet.
        while future is not None and not future.done() and self._clock.monotonic() < deadline:
            await loop.run_in_executor(self._control, self._kill, query_id)
            await asyncio.wait([future], timeout=_CANCEL_RETRY_SECONDS)

    async def drain(self, seconds: float, cancel_seconds: float) -> bool:
        """Take nothing new, let what runs end, cancel what is left after `seconds`; return whether all has ended."""
        self._is_draining = True
        self.resume()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)
        await asyncio.gather(*[self.cancel(query_id, cancel_seconds) for query_id in list(self._running)])
        return not self._running

    async def aclose(self) -> None:
        """Close the sessions and the threads; call it after `drain` said yes."""
        self._sessions.close()
        self._links.close()
        self._threads.shutdown()
        self._control.shutdown()

    async def _take_slot(self, reads: bool) -> None:
        if self._waiting[reads] >= self._queue_max:
            raise EngineError(
                TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries: {self._queue_max} wait already"
            )
        self._waiting[reads] += 1
        try:
            if reads:
                await self._read_slots.acquire()
            try:
                await self._acquire(reads)
            except BaseException:
                if reads:
                    self._read_slots.release()
                raise
        finally:
            self._waiting[reads] -= 1

    async def _acquire(self, reads: bool) -> None:
        while True:
            if not reads:
                await self._gate.wait()
            await self._slots.acquire()
            if reads or self._gate.is_set():
                return
            self._slots.release()

    def _free_slot(self, reads: bool) -> None:
        self._slots.release()
        if reads:
            self._read_slots.release()

    def _ended(self, query_id: str, work: Work, future: asyncio.Future[Outcome]) -> None:
        del self._running[query_id]
        self._writing.discard(future)
        self._free_slot(work.reads)
        if work.session is not None:
            self._sessions.give_back(work.session)
        if work.link is not None:
            self._links.give(work.key, work.link)
        future.exception()  # somebody has looked at it, even if the client has gone

    def _run(self, call: Call, work: Work) -> Outcome:
        """Run `work`; in a thread. Its link is None afterwards, unless it can be used again."""
        try:
            if work.session is not None:
                work.session.prepare(call, work.text, work.params)
                return work.job(work.session.link)
            return self._run_alone(call, work)
        finally:
            work.done()

    def _run_alone(self, call: Call, work: Work) -> Outcome:
        link, work.link = work.link, None
        is_prepared = link is not None
        link = link or self._library.connect()
        try:
            if is_prepared:
                prepare_again(link, call)
            else:
                prepare(link, call, call.settings_in_force, work.params)
            outcome = work.job(link)
            work.link = link if outcome.leaves_nothing else None
        finally:
            if work.link is None:
                link.close()
        return outcome

    def _kill(self, query_id: str) -> None:
        link = self._library.connect()
        try:
            link.execute(b"KILL QUERY WHERE " + OUR_ID + b" = " + quote(query_id.encode()) + b" ASYNC")
        finally:
            link.close()


class Run:
    """One statement on its way."""

    def __init__(self, runner: Runner, query_id: str, future: asyncio.Future[Outcome]) -> None:
        self._runner = runner
        self._query_id = query_id
        self._future = future

    async def outcome(self) -> Outcome:
        """Return what it did, when it has ended; the statement goes on if the waiting is cancelled.

        Raises:
            EngineError: it failed.
        """
        return await asyncio.shield(self._future)

    async def cancel(self) -> None:
        """Cancel it; see `Runner.cancel`."""
        await self._runner.cancel(self._query_id)
