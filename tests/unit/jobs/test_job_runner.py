"""The runner, on a real database and the real clock, with leases of a moment: what a job's code is promised."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing

import asyncpg
import pytest

from gateway.core.clock import SystemClock
from gateway.core.errors import InvalidRequest, Unavailable
from gateway.jobs import JobCancelled, JobFailed, JobLost, JobRunner, RunnerOptions, Status, turn
from gateway.jobs.turn import Timing

# Long enough for a machine with other things to do; the tests that let a lease run out have a shorter one.
TIMING = Timing(lease_seconds=20.0, heartbeat_seconds=0.05, cancel_seconds=0.1)
SECONDS_MAX = 90


@pytest.fixture
def clock():
    return SystemClock()


class Code:
    """A job's code that does as the test says, and remembers what was asked of it."""

    def __init__(self, run=None, discard=None):
        self.begun = []
        self.discarded = []
        self.now = self.most = 0
        self._run = run
        self._discard = discard

    async def run(self, context):
        self.begun.append(context.job)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self._run is not None:
                await self._run(context)
        finally:
            self.now -= 1

    async def discard(self, context):
        self.discarded.append((context.job.id, context.job.status))
        if self._discard is not None:
            await self._discard(context)


class Gate:
    """A place in the code where it waits until the test lets it go on."""

    def __init__(self):
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_through(self):
        self.reached.set()
        await self.opened.wait()


@asynccontextmanager
async def held(url):
    """Hold what every write to the jobs needs; who reads goes on."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite+aiosqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder:
            await asyncio.to_thread(holder.execute, "BEGIN IMMEDIATE")
            yield
            holder.execute("ROLLBACK")
        return
    holder = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE jobs IN EXCLUSIVE MODE")
            yield
    finally:
        await holder.close()


@pytest.fixture
def runner(store, clock):
    """Return what makes runners of this database."""

    def make(code, owner="a", timing=TIMING, **options):
        handlers = code if isinstance(code, dict) else {"import": code}
        found = RunnerOptions(owner=owner, timing=timing, **options)
        return JobRunner(store, handlers, found, clock, lambda error: isinstance(error, ConnectionError))

    return make


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(turn, "_WAIT_SECONDS_MIN", 0.01)
    monkeypatch.setattr(turn, "_WAIT_SECONDS_MAX", 0.02)
    monkeypatch.setattr(turn, "OUTAGES_MAX", 8)


@asynccontextmanager
async def running(*runners, drain_seconds=SECONDS_MAX):
    async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
        for each in runners:
            group.create_task(each.run())
        yield
        for each in runners:
            each.stop(drain_seconds)


async def until(condition):
    async with asyncio.timeout(SECONDS_MAX):
        while not (found := await condition()):  # noqa: ASYNC110  what the database says is no event here
            await asyncio.sleep(0.005)
        return found


async def end_of(store, job, *, is_tidy=True):
    """Wait for the end of `job`, and until what it left is removed; return it."""

    async def look():
        found = await store.get(job.workspace_id, job.id)
        return found.status.is_end and not (is_tidy and found.lease) and found

    return await until(look)


async def test_jobs_are_done_several_at_once_and_no_more_than_that(store, new, runner):
    gate = Gate()
    code = Code(lambda _: gate.pass_through())
    jobs = [await store.create(new()) for _ in range(5)]

    async with running(runner(code, concurrency=2)):
        await until(lambda: asyncio.sleep(0, code.now == 2))
        gate.opened.set()
        ended = [await end_of(store, job) for job in jobs]

    assert {job.status for job in ended} == {Status.DONE}
    assert code.most == 2
    assert sorted(code.discarded) == sorted((job.id, Status.DONE) for job in jobs)


async def test_a_job_is_kept_for_longer_than_its_lease_and_nobody_else_takes_it(store, new, runner, clock):
    timing = Timing(lease_seconds=4, heartbeat_seconds=0.2)  # a busy machine holds up a heartbeat for a second

    async def work(_):
        await clock.sleep(5)

    codes = [Code(work), Code(work)]
    job = await store.create(new())

    async with running(runner(codes[0], "a", timing), runner(codes[1], "b", timing)):
        assert (await end_of(store, job)).status is Status.DONE

    assert len(codes[0].begun + codes[1].begun) == 1


@pytest.mark.parametrize(
    "error, sentence, errors",
    [
        (JobFailed("The file is no CSV"), "The file is no CSV", ("The file is no CSV",)),
        (JobFailed("3 rows", ("row 1", "row 2")), "3 rows", ("row 1", "row 2")),
        (InvalidRequest("No such column"), "No such column", ("No such column",)),
        (ExceptionGroup("both", [ValueError(), JobFailed("bad URL")]), "bad URL", ("bad URL",)),
    ],
)
async def test_what_cannot_succeed_ends_in_error_at_once(store, new, runner, error, sentence, errors):
    async def work(_):
        raise error

    code = Code(work)
    job = await store.create(new())

    async with running(runner(code)):
        ended = await end_of(store, job)

    assert (ended.status, ended.error, ended.errors) == (Status.ERROR, sentence, errors)
    assert len(code.begun) == 1
    assert code.discarded == [(job.id, Status.ERROR)]


async def test_a_failure_that_passes_goes_on_from_the_last_checkpoint(store, new, runner):
    async def work(context):
        if not context.job.state:
            await context.save({"block": 1}, shown={"rows": 7}, progress=50)
            raise ValueError("a passing trouble")

    code = Code(work)
    job = await store.create(new())

    async with running(runner(code)):
        ended = await end_of(store, job)

    assert ended.status is Status.DONE
    assert [begun.state for begun in code.begun] == [{}, {"block": 1}]
    assert (code.begun[0].shown, code.begun[1].shown["rows"]) == ({}, 7)


async def test_a_job_that_will_be_tried_again_says_why_until_it_comes_further(store, new, runner):
    seen = []

    async def work(context):
        await context.save({}, progress=1)
        seen.append(context.job.shown.get("note"))
        if len(seen) < 3:
            raise (ValueError("a secret of ours"), Unavailable("example.com: this host name is not known"))[
                len(seen) - 1
            ]
        await context.save({"block": 1})
        seen.append(context.job.shown.get("note"))

    job = await store.create(new())

    async with running(runner(Code(work))):
        ended = await end_of(store, job)

    assert seen == [
        None,
        "It will be tried again: internal error, its id helps to find it in the log",
        "It will be tried again: example.com: this host name is not known",
        "",
    ]
    assert ended.status is Status.DONE


@pytest.mark.parametrize(
    "error, tries, words",
    [
        (ValueError("a secret of ours"), turn.FAILURES_MAX, "internal error"),
        (Unavailable("The database does not answer"), 8, "The database does not answer"),
        (ConnectionError("no answer"), 8, "no answer"),
        (asyncio.CancelledError(), turn.FAILURES_MAX, "internal error"),
    ],
    ids=["ours", "unavailable", "outage", "cancelled by itself"],
)
async def test_a_failure_that_does_not_pass_is_given_up(store, new, runner, error, tries, words):
    async def work(_):
        raise error

    code = Code(work)
    job = await store.create(new())

    async with running(runner(code)):
        ended = await end_of(store, job)

    assert (ended.status, len(code.begun)) == (Status.ERROR, tries)
    assert words in ended.error
    assert "secret" not in ended.error
    assert code.discarded == [(job.id, Status.ERROR)]


async def test_a_job_that_ends_its_workers_is_given_up(store, new, runner):
    job = await store.create(new())
    for _ in range(turn.ATTEMPTS_MAX):
        assert await store.claim("dead", "", ["import"], 5) is not None
        await store.release_all("dead")
    code = Code()

    async with running(runner(code)):
        ended = await end_of(store, job)

    assert (ended.status, code.begun) == (Status.ERROR, [])
    assert "given up" in ended.error
    assert code.discarded == [(job.id, Status.ERROR)]


async def test_what_a_killed_worker_had_is_taken_up_at_once_by_the_next_of_its_name(store, new, runner):
    job = await store.create(new())
    dead = await store.claim("a", "", ["import"], 60)
    await store.checkpoint(dead.lease, job.id, {"block": 2})
    code = Code()

    async with running(runner(code, "a")):
        assert (await end_of(store, job)).status is Status.DONE

    assert [begun.state for begun in code.begun] == [{"block": 2}]


async def test_waits_grow_to_a_minute_and_an_outage_of_an_hour_is_sat_out(monkeypatch):
    monkeypatch.undo()

    assert [turn.wait_seconds(n) for n in (1, 2, 3, 6, 7, 60)] == [1, 2, 4, 32, 60, 60]
    assert 3000 < sum(turn.wait_seconds(n) for n in range(1, turn.OUTAGES_MAX)) < 4200


class TestCancel:
    async def test_the_code_hears_of_it_at_its_next_checkpoint(self, store, new, runner):
        gate, heard = Gate(), []

        async def work(context):
            await gate.pass_through()
            try:
                await context.save({"n": 1})
            except JobCancelled:
                heard.append("cancelled")
                raise

        code = Code(work)
        job = await store.create(new())

        async with running(runner(code)):
            await gate.reached.wait()
            assert (await store.cancel(job.workspace_id, job.id)).status is Status.CANCELLING
            gate.opened.set()
            ended = await end_of(store, job)

        assert (ended.status, ended.state, heard) == (Status.CANCELLED, {"n": 1}, ["cancelled"])
        assert code.discarded == [(job.id, Status.CANCELLED)]

    async def test_code_that_cleans_up_and_returns_is_cancelled_all_the_same(self, store, new, runner):
        gate = Gate()

        async def work(context):
            await gate.pass_through()
            try:
                await context.save({})
            except JobCancelled:
                return

        job = await store.create(new())

        async with running(runner(Code(work))):
            await gate.reached.wait()
            await store.cancel(job.workspace_id, job.id)
            gate.opened.set()
            assert (await end_of(store, job)).status is Status.CANCELLED

    async def test_code_that_comes_to_no_checkpoint_is_stopped(self, store, new, runner):
        gate = Gate()
        code = Code(lambda _: gate.pass_through())
        job = await store.create(new())

        async with running(runner(code)):
            await gate.reached.wait()
            await store.cancel(job.workspace_id, job.id)
            assert (await end_of(store, job)).status is Status.CANCELLED

        assert code.discarded == [(job.id, Status.CANCELLED)]

    async def test_work_that_was_finished_meanwhile_is_done(self, store, new, runner):
        gate = Gate()
        job = await store.create(new())

        async with running(runner(Code(lambda _: gate.pass_through()), timing=Timing())):
            await gate.reached.wait()
            await store.cancel(job.workspace_id, job.id)
            gate.opened.set()
            assert (await end_of(store, job)).status is Status.DONE

    async def test_a_waiting_job_is_never_begun_and_what_came_with_it_is_removed(self, store, new, runner):
        job = await store.create(new())
        await store.cancel(job.workspace_id, job.id)
        code = Code()

        async with running(runner(code)):
            await until(lambda: asyncio.sleep(0, code.discarded))

        assert (code.begun, code.discarded) == ([], [(job.id, Status.CANCELLED)])

    async def test_one_whose_worker_died_is_not_begun_again(self, store, new, runner):
        job = await store.create(new())
        await store.claim("a", "", ["import"], 60)
        await store.cancel(job.workspace_id, job.id)
        code = Code()

        async with running(runner(code, "a")):
            assert (await end_of(store, job)).status is Status.CANCELLED

        assert (code.begun, code.discarded) == ([], [(job.id, Status.CANCELLED)])


class TestLost:
    async def test_who_lost_a_job_is_stopped_and_says_nothing_more(self, store, new, runner):
        gate, heard = Gate(), []

        async def work(context):
            await gate.pass_through()
            try:
                await context.save({"of": "the loser"})
            except JobLost:
                heard.append("lost")
                raise

        code = Code(work)
        job = await store.create(new())

        async with running(runner(code, timing=Timing(), concurrency=1)):  # a heartbeat comes too late to tell it
            await gate.reached.wait()
            await store.release_all("a")
            winner = await store.claim("b", "", ["import"], 60)
            gate.opened.set()
            await until(lambda: asyncio.sleep(0, heard and not code.now))

        assert code.discarded == []
        assert await store.get(job.workspace_id, job.id) == winner

    async def test_the_heartbeat_stops_code_that_makes_no_checkpoint(self, store, new, runner):
        gate = Gate()
        code = Code(lambda _: gate.pass_through())
        job = await store.create(new())

        async with running(runner(code, concurrency=1)):
            await gate.reached.wait()
            await store.release_all("a")
            winner = await store.claim("b", "", ["import"], 60)
            await until(lambda: asyncio.sleep(0, not code.now))

        assert await store.get(job.workspace_id, job.id) == winner

    async def test_who_cannot_say_that_it_lives_stops_before_another_may_begin(self, store, new, runner, url):
        gate = Gate()
        code = Code(lambda _: gate.pass_through())
        job = await store.create(new())
        timing = Timing(lease_seconds=3, heartbeat_seconds=0.2)

        async with running(runner(code, timing=timing)):
            await gate.reached.wait()
            async with held(url):
                await until(lambda: asyncio.sleep(0, not code.now))
                assert (await store.get(job.workspace_id, job.id)).status is Status.WORKING
            gate.opened.set()
            assert (await end_of(store, job)).status is Status.DONE

        assert len(code.begun) == 2
        assert code.most == 1

    async def test_one_process_does_not_do_a_job_twice_at_once_when_it_takes_its_own_lost_one(self, store, new, runner):
        gate = Gate()
        stopped = asyncio.Event()

        async def work(_):
            try:
                await gate.pass_through()
            except asyncio.CancelledError:
                stopped.set()
                await asyncio.sleep(0.3)  # slow to stop: the second must wait for it
                raise

        code = Code(work)
        job = await store.create(new())

        async with running(runner(code, timing=Timing())):
            await gate.reached.wait()
            await store.release_all("a")
            await stopped.wait()
            gate.opened.set()
            assert (await end_of(store, job)).status is Status.DONE

        assert (len(code.begun), code.most) == (2, 1)


class TestStop:
    async def test_a_job_goes_on_to_its_checkpoint_and_another_worker_has_it_at_once(self, store, new, runner):
        gate, further = Gate(), []

        async def first(context):
            await gate.pass_through()
            await context.save({"block": 1})
            further.append("what follows the checkpoint")

        heir = Code()
        job = await store.create(new())
        leaving = runner(Code(first), "a")

        async with running(leaving):
            await gate.reached.wait()
            leaving.stop(SECONDS_MAX)
            gate.opened.set()
        left = await store.get(job.workspace_id, job.id)
        async with running(runner(heir, "b")):
            assert (await end_of(store, job)).status is Status.DONE

        assert (left.status, left.lease, left.attempts) == (Status.WORKING, "", 0)
        assert further == []
        assert [begun.state for begun in heir.begun] == [{"block": 1}]

    async def test_a_checkpoint_in_a_task_of_the_code_stops_all_of_it(self, store, new, runner):
        gate = Gate()

        async def work(context):
            async def part():
                await gate.pass_through()
                await context.save({"block": 1})

            async with asyncio.TaskGroup() as group:
                group.create_task(part())

        job = await store.create(new())
        leaving = runner(Code(work))

        async with running(leaving):
            await gate.reached.wait()
            leaving.stop(SECONDS_MAX)
            gate.opened.set()

        left = await store.get(job.workspace_id, job.id)
        assert (left.status, left.state, left.lease) == (Status.WORKING, {"block": 1}, "")

    async def test_code_that_comes_to_no_checkpoint_in_time_is_stopped_and_given_back(self, store, new, runner):
        gate = Gate()
        job = await store.create(new())

        async with running(runner(Code(lambda _: gate.pass_through())), drain_seconds=0):
            await gate.reached.wait()

        left = await store.get(job.workspace_id, job.id)
        assert (left.status, left.lease, left.attempts, left.failures) == (Status.WORKING, "", 0, 0)

    async def test_a_runner_that_is_cancelled_gives_its_jobs_back(self, store, new, runner):
        gate = Gate()
        job = await store.create(new())
        task = asyncio.create_task(runner(Code(lambda _: gate.pass_through())).run())
        await gate.reached.wait()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        left = await store.get(job.workspace_id, job.id)
        assert (left.lease, left.attempts) == ("", 0)

    async def test_no_job_is_taken_after_it(self, store, new, runner):
        code = Code()
        stopped = runner(code)
        async with running(stopped):
            pass

        await store.create(new())
        await asyncio.wait_for(stopped.run(), SECONDS_MAX)

        assert code.begun == []


class TestDiscard:
    async def test_a_discard_that_fails_is_tried_again(self, store, new, runner):
        async def fail_twice(_):
            if len(code.discarded) < 3:
                raise OSError("busy")

        code = Code(discard=fail_twice)
        job = await store.create(new())

        async with running(runner(code)):
            await until(lambda: asyncio.sleep(0, len(code.discarded) == 3))

        assert len(code.begun) == 1
        assert (await end_of(store, job)).status is Status.DONE
        assert await store.claim("b", "", ["import"], 5) is None

    async def test_one_that_always_fails_is_given_up_and_the_job_stays_as_it_ended(self, store, new, runner):
        async def fail(_):
            raise OSError("busy")

        code = Code(discard=fail)
        job = await store.create(new())

        async with running(runner(code)):
            await until(lambda: asyncio.sleep(0, len(code.discarded) == turn.FAILURES_MAX))

        assert (await end_of(store, job)).status is Status.DONE
        assert await store.claim("b", "", ["import"], 5) is None

    async def test_what_a_worker_killed_after_the_end_left_is_removed_by_the_next(self, store, new, runner):
        job = await store.create(new())
        dead = await store.claim("a", "", ["import"], 60)
        await store.finish(dead.lease, job.id, Status.ERROR, error="bad")
        code = Code()

        async with running(runner(code, "a")):
            ended = await end_of(store, job)

        assert (ended.status, ended.error, code.begun) == (Status.ERROR, "bad", [])
        assert code.discarded == [(job.id, Status.ERROR)]


class TestNow:
    async def test_a_job_done_at_once_is_returned_as_it_ended(self, store, new, runner):
        async def work(context):
            await context.save({"n": 1}, shown={"rows": 3})

        code = Code(work)

        job = await runner(code).run_now(new(spec={"a": 1}))

        assert (job.status, job.shown, job.progress) == (Status.DONE, {"rows": 3}, 100)
        assert code.discarded == [(job.id, Status.DONE)]
        assert (await store.get(job.workspace_id, job.id)).status is Status.DONE
        assert await store.claim("b", "", ["import"], 5) is None

    async def test_one_that_cannot_succeed_ends_in_error(self, new, runner):
        async def work(_):
            raise JobFailed("no such URL")

        job = await runner(Code(work)).run_now(new())

        assert (job.status, job.error) == (Status.ERROR, "no such URL")

    async def test_one_whose_trouble_may_pass_is_gone_on_with_by_a_worker(self, store, new, runner):
        async def work(_):
            raise Unavailable("down")

        job = await runner(Code(work), "http").run_now(new())
        assert job.status is Status.WORKING

        async with running(runner(Code(), "jobs")):
            assert (await end_of(store, job)).status is Status.DONE

    async def test_one_whose_request_is_broken_off_is_given_back(self, store, new, runner, workspace_id):
        gate = Gate()
        task = asyncio.create_task(runner(Code(lambda _: gate.pass_through())).run_now(new()))
        await gate.reached.wait()

        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert [job.lease for job in await store.list(workspace_id)] == [""]
