"""The log against a model of a few lines: append, wait, sync, roll, release, refuse, kill, crash, close, open again.

Segments are small, and often filled and released at once, so that many are made of the file of another.

The model is a list of what was appended and what was said about it. After every start the log must hold

* in order, and each once: what was appended and not refused, or a part of it;
* everything that was answered (and, after a power cut under `os`, synced) and not released;
* nothing else;

and whatever a start has read, every later start reads again.
"""

import asyncio
import errno

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.errors import Unavailable
from gateway.wal import inspect
from tests.support.fs import SimulatedFileSystem
from tests.support.wal import DIRECTORY, open_log, settle


class Record:
    """One appended frame, and what is known about it."""

    def __init__(self, payload, position, durable):
        self.payload = payload
        self.position = position
        self.durable = durable
        self.is_synced = False  # survives even a power cut
        self.is_released = False

    @property
    def is_answered(self):
        return self.durable.done() and self.durable.exception() is None

    @property
    def is_refused(self):
        return self.durable.done() and self.durable.exception() is not None


class LogMachine(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 1000),
        policy=st.sampled_from(["fsync", "os"]),
        preallocate=st.sampled_from([True, True, False]),
    )
    def start(self, seed, policy, preallocate):
        self.loop = asyncio.new_event_loop()
        self.files = SimulatedFileSystem(seed)
        self.options = {"policy": policy, "preallocate": preallocate, "segment_bytes_max": 200, "bytes_max": 2000}
        self.records: list[Record] = []
        self.known_damage = set()
        self.count = 0
        self.open()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def teardown(self):
        if hasattr(self, "loop"):
            self.run(self.log.aclose())
            self.loop.close()

    # --- what the buffer does

    @rule(sizes=st.lists(st.integers(0, 90), min_size=1, max_size=4))
    def append(self, sizes):
        async def do():
            for size in sizes:
                self.count += 1
                payload = b"%d:" % self.count + b"x" * size
                try:
                    self.records.append(Record(payload, *self.log.append(payload)))
                except Unavailable:
                    pass  # refused at once: never to be seen

        self.run(do())

    @rule()
    def wait(self):
        self.run(settle())
        assert all(record.durable.done() for record in self.records)
        if self.options["policy"] == "fsync":
            for record in self.records:
                record.is_synced |= record.is_answered

    @rule()
    def sync(self):
        try:
            self.run(self.log.sync())
        except Unavailable:
            return
        for record in self.records:
            assert record.durable.done()
            record.is_synced |= record.is_answered and not record.is_refused

    @rule()
    def roll(self):
        async def do():
            self.log.roll()

        self.run(do())

    @rule(share=st.floats(0, 1))
    def release(self, share):
        """Release up to some segment; the frames in it must have been heard of."""
        self.wait()
        before = min(int(self.log.segment * share) + 1, self.log.segment)

        async def do():
            self.log.release(before)
            await settle()

        self.run(do())
        for record in self.records:
            record.is_released |= record.position.segment < before

    @rule(times=st.integers(2, 6))
    def turn_over(self, times):
        """What a busy buffer does: a segment is filled, and those before it go."""
        for _ in range(times):
            self.append([60, 60])
            self.release(1.0)

    # --- what the machine does

    @rule(
        call=st.sampled_from(["write", "sync", "truncate", "create", "unlink", "rename", "sync_directory", "allocate"]),
        error=st.sampled_from([errno.ENOSPC, errno.EIO]),
        after=st.integers(0, 3),
    )
    def fail(self, call, error, after):
        self.files.fail(call, error, after=after)

    @rule()
    def close(self):
        self.files.heal()
        self.run(self.log.aclose())
        self.restart()

    @rule(calls=st.integers(0, 16), turns=st.integers(0, 2))
    def kill(self, calls, turns):
        self.stop_within(calls, turns)
        self.files.kill()
        self.restart()

    @rule(calls=st.integers(0, 16), turns=st.integers(0, 2))
    def crash(self, calls, turns):
        self.stop_within(calls, turns)
        if self.options["policy"] == "os":
            for record in self.records:
                record.is_released |= not record.is_synced  # or lost: both may be gone
        before = set(self.known_damage)
        self.files.crash()
        self.restart(may_be_damaged=True)
        self.known_damage |= before

    def stop_within(self, calls, turns):
        """Let the machine stop in the middle of whatever is under way."""
        self.files.heal()
        self.files.stop_after(calls)
        self.run(settle())
        self.turn_over(turns)
        if self.options["policy"] == "fsync":
            for record in self.records:
                record.is_synced |= record.is_answered

    def restart(self, *, may_be_damaged=False):
        report = inspect(DIRECTORY, self.files)
        held, damage = self.open()
        assert set(report.damage) == damage
        if not may_be_damaged:
            assert damage <= self.known_damage, damage - self.known_damage
        self.known_damage = damage
        payloads = [payload for _, payload in held]
        # Each once, in order, nothing invented.
        places = {record.payload: place for place, record in enumerate(self.records)}
        order = [places[payload] for payload in payloads]
        assert order == sorted(set(order))
        for place, record in enumerate(self.records):
            if record.is_answered and not record.is_released:
                assert place in set(order), record.payload
        # What was read once is read again.
        done = self.loop.create_future()
        done.set_result(None)
        self.records = []
        for position, payload in held:
            record = Record(payload, position, done)
            record.is_synced = True
            self.records.append(record)

    def open(self):
        async def do():
            return open_log(self.files, **self.options)

        self.log, held, recovery = self.run(do())
        assert not [each for each in recovery.damage if each.what == "segment missing"]
        self.found_bytes = self.log.bytes_on_disk
        return held, set(recovery.damage)

    @invariant()
    def the_budget_holds(self):
        if hasattr(self, "log"):
            # A start may find more: room reserved ahead and not given back. Headers of segments are not counted before.
            assert self.log.bytes_on_disk <= max(self.options["bytes_max"], self.found_bytes) + 4 * 36


TestLog = LogMachine.TestCase
TestLog.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
