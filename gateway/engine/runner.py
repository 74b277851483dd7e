"""Runner: statements in threads. Who may run now, under which id, in which session; cancelling; draining.

A statement occupies a slot from here until its thread is done, whatever became of the request that brought it. Reads
may not take every slot: a client that does not read its answer keeps one, and must not be able to stop inserts.

    slots   threads_max; reads at most three quarters of them
    queue   queue_max reads and as many others may wait for a slot; the next is refused
    order   first come, first served
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gateway.core.clock import Clock
from gateway.engine.call import Call, quote
from gateway.engine.errors import (
    ABORTED,
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    EngineError,
)
from gateway.engine.library import Library, Link, Outcome
from gateway.engine.options import EngineOptions
from gateway.engine.session import Session, Sessions, prepare

Job = Callable[[Link], Outcome]
"""The statement itself, on a connection that is ready for it; blocks, in a thread."""

_CANCEL_RETRY_SECONDS = 0.05
_CANCEL_SECONDS = 5.0


class Runner:
    """Runs statements; belongs to the loop."""

    def __init__(self, library: Library, options: EngineOptions, clock: Clock) -> None:
        self._library = library
        self._clock = clock
        self._queue_max = options.queue_max
        self._sessions = Sessions(library, options, clock)
        self._threads = ThreadPoolExecutor(options.threads_max, "statement")
        self._control = ThreadPoolExecutor(1, "control")
        self._slots = asyncio.Semaphore(options.threads_max)
        self._read_slots = asyncio.Semaphore(max(1, options.threads_max - options.threads_max // 4))
        self._running: dict[str, asyncio.Future[Outcome]] = {}
        self._waiting = {True: 0, False: 0}
        self._is_draining = False

    async def start(self, call: Call, text: bytes, job: Job, done: Callable[[], None], *, reads: bool) -> "Run":
        """Start a statement as soon as there is a slot.

        Args:
            call: the request; its id must not be running.
            text: the statement, or its beginning.
            job: runs it.
            done: called from the thread when the statement has ended, however it did; not if `start` raises.
            reads: whether it looks like a read.

        Raises:
            EngineError: too many wait already, the id is taken, the session is not to be had, or we are stopping.
        """
        if self._is_draining:
            raise EngineError(ABORTED, "The engine is stopping")
        if call.query_id in self._running:
            raise EngineError(
                QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, f"Query with id = {call.query_id} is already running."
            )
        await self._take_slot(reads=reads)
        try:
            # A read-only session would be one for ever: such a call is fenced on a connection of its own.
            is_fenced = call.session is None or (call.readonly == 1)
            session = None if is_fenced or call.session is None else self._sessions.take(call.session)
        except BaseException:
            self._free_slot(reads=reads)
            raise
        work = partial(self._work, call, text, session, job, done)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        self._running[call.query_id] = future
        future.add_done_callback(partial(self._ended, call.query_id, session, reads))
        return Run(self, call.query_id, future)

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
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)
        await asyncio.gather(*[self.cancel(query_id, cancel_seconds) for query_id in list(self._running)])
        return not self._running

    async def aclose(self) -> None:
        """Close the sessions and the threads; call it after `drain` said yes."""
        self._sessions.close()
        self._threads.shutdown()
        self._control.shutdown()

    async def _take_slot(self, *, reads: bool) -> None:
        if self._waiting[reads] >= self._queue_max:
            raise EngineError(
                TOO_MANY_SIMULTANEOUS_QUERIES, f"Too many simultaneous queries: {self._queue_max} wait already"
            )
        self._waiting[reads] += 1
        try:
            if reads:
                await self._read_slots.acquire()
            try:
                await self._slots.acquire()
            except BaseException:
                if reads:
                    self._read_slots.release()
                raise
        finally:
            self._waiting[reads] -= 1

    def _free_slot(self, *, reads: bool) -> None:
        self._slots.release()
        if reads:
            self._read_slots.release()

    def _ended(self, query_id: str, session: Session | None, reads: bool, future: asyncio.Future[Outcome]) -> None:
        del self._running[query_id]
        self._free_slot(reads=reads)
        if session is not None:
            self._sessions.give_back(session)
        future.exception()  # somebody has looked at it, even if the client has gone

    def _work(self, call: Call, text: bytes, session: Session | None, job: Job, done: Callable[[], None]) -> Outcome:
        """Run `job`; in a thread."""
        try:
            if session is not None:
                session.prepare(call, text)
                return job(session.link)
            link = self._library.connect()
            try:
                prepare(link, call, {**call.settings, **({"readonly": b"2"} if call.readonly == 2 else {})})
                return job(link)
            finally:
                link.close()
        finally:
            done()

    def _kill(self, query_id: str) -> None:
        link = self._library.connect()
        try:
            theirs = b"splitByChar('\\n', Settings['log_comment'])[1] = " + quote(query_id.encode())
            link.execute(b"KILL QUERY WHERE " + theirs + b" ASYNC")
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
