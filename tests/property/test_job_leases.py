"""Leases against a model: any program of workers that work, die, freeze and come back, and of clocks that jump.

Promised: who may write is always one, the last who took the job; nobody takes a job that is held; what ended stays as it
ended; and every job ends, and is tidied, once somebody takes it up.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalog import CatalogStore
from gateway.core.errors import Conflict
from gateway.jobs import JobLost, JobStore, NewJob, Status
from gateway.jobs.store import LEASE_SECONDS_MAX
from tests.support.jobs import StillClock

LEASE = 10.0
WORKERS = ("p:a", "p:b", "p:ab")  # one name begins with another

worker = st.integers(0, len(WORKERS) - 1)
job = st.integers(0, 2)
claims = st.tuples(st.just("claim"), worker)
step = st.one_of(
    st.tuples(st.just("create")),
    claims,
    claims,
    claims,
    st.tuples(st.just("renew"), worker),
    st.tuples(st.just("save"), worker, st.integers(0, 2)),
    st.tuples(st.just("finish"), worker, st.sampled_from([Status.DONE, Status.ERROR, Status.CANCELLED])),
    st.tuples(st.just("tidy"), worker),
    st.tuples(st.just("release"), worker),
    st.tuples(st.just("postpone"), worker),
    st.tuples(st.just("die"), worker),
    st.tuples(st.just("succeed"), worker),
    st.tuples(st.just("cancel"), job),
    st.tuples(st.just("tick"), st.sampled_from([1.0, 4.0, 9.5, 11.0, 400.0])),
    st.tuples(st.just("jump"), st.sampled_from([-7200.0, -20.0, -1.0, 1.0, 20.0, 7200.0])),
)


class World:
    """The real store, and beside it what must be so."""

    def __init__(self, store, clock, workspace_id):
        self.store = store
        self.clock = clock
        self.workspace_id = workspace_id
        self.ids = []
        self.current = {}  # job → (lease, until) of who holds it; absent: nobody does
        self.hands = [None] * len(WORKERS)  # worker → the job and lease it believes it has
        self.ended = {}  # job → how it ended

    def is_held(self, job_id):
        """Would the holder of the job be right to think that nobody else takes it?"""
        _, until = self.current.get(job_id, ("", self.clock.now()))
        return self.clock.now() < until <= self.clock.now() + LEASE_SECONDS_MAX

    async def claim(self, which):
        taken = await self.store.claim(WORKERS[which], "", ["import"], LEASE)
        if taken is None:
            return
        assert not self.is_held(taken.id)
        assert taken.lease not in {lease for lease, _ in self.current.values()}
        if taken.id in self.ended:
            assert taken.status is self.ended[taken.id]
        self.current[taken.id] = (taken.lease, self.clock.now() + LEASE)
        self.hands[which] = (taken.id, taken.lease)

    async def write(self, which, act, change=lambda _: None):
        """Have a worker write about the job it believes to have: it succeeds if, and only if, it has it."""
        if self.hands[which] is None:
            return None
        job_id, lease = self.hands[which]
        has_it = self.current.get(job_id, ("",))[0] == lease
        try:
            result = await act(lease, job_id)
        except JobLost:
            assert not has_it
            self.hands[which] = None
            return None
        assert has_it
        change(job_id)
        return result

    def let_go(self, which):
        def change(job_id):
            del self.current[job_id]
            self.hands[which] = None

        return change

    async def finish(self, which, status):
        if self.hands[which] is None or self.hands[which][0] in self.ended:
            return  # whoever takes an ended job up only tidies it
        await self.write(
            which,
            lambda lease, id_: self.store.finish(lease, id_, status),
            lambda id_: self.ended.update({id_: status}),
        )

    async def tidy(self, which):
        if self.hands[which] is not None and self.hands[which][0] in self.ended:
            await self.write(which, self.store.tidied, self.let_go(which))

    async def renew(self, which):
        def change(job_id):
            self.current[job_id] = (self.current[job_id][0], self.clock.now() + LEASE)

        await self.write(which, lambda lease, id_: self.store.renew(lease, id_, LEASE), change)

    async def succeed(self, which):
        """The supervisor starts a worker again, after it died."""
        name = WORKERS[which]
        self.hands[which] = None
        theirs = [id_ for id_, (lease, _) in self.current.items() if lease.rpartition("/")[0] == name]
        assert await self.store.release_all(name) == len(theirs)
        for id_ in theirs:
            del self.current[id_]

    async def cancel(self, number):
        if number >= len(self.ids):
            return
        job_id = self.ids[number]
        try:
            cancelled = await self.store.cancel(self.workspace_id, job_id)
        except Conflict:
            assert job_id in self.ended
            return
        assert job_id not in self.ended
        if cancelled.status is Status.CANCELLED:
            assert job_id not in self.current
            self.ended[job_id] = Status.CANCELLED

    async def take(self, step):
        match step:
            case ("create",):
                if len(self.ids) < 3:
                    made = await self.store.create(NewJob(workspace_id=self.workspace_id, kind="import"))
                    self.ids.append(made.id)
            case ("save", which, value):
                await self.write(which, lambda lease, id_: self.store.checkpoint(lease, id_, {"n": value}))
            case ("release", which):
                await self.write(which, self.store.release, self.let_go(which))
            case ("postpone", which):
                await self.write(which, lambda lease, id_: self.store.postpone(lease, id_, 5), self.let_go(which))
            case ("die", which):
                self.hands[which] = None
            case ("tick" | "jump", seconds):
                self.clock.seconds += seconds
            case (name, *arguments):
                await getattr(self, name)(*arguments)

    async def work_off(self):
        """One worker that lives: everything comes to its end."""
        for _ in range(4 * len(self.ids)):
            self.clock.seconds += LEASE_SECONDS_MAX
            await self.claim(0)
            if self.hands[0] is not None:
                await self.finish(0, Status.DONE)
                await self.tidy(0)
        for id_ in self.ids:
            found = await self.store.get(self.workspace_id, id_)
            assert found.status is self.ended[id_]
            assert found.lease == ""
        self.clock.seconds += 8000.0
        assert await self.store.claim("z", "", ["import"], LEASE) is None


async def run(program, directory):
    clock = StillClock()
    catalog = await CatalogStore.open(f"sqlite+aiosqlite:///{directory}/jobs.db", clock)
    try:
        world = World(JobStore(catalog.database, clock), clock, (await catalog.list_workspaces())[0].id)
        for each in (("create",), *program):
            await world.take(each)
        await world.work_off()
    finally:
        await catalog.aclose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(st.lists(step, min_size=30, max_size=60))
def test_one_holds_a_job_and_every_job_ends(program):
    with TemporaryDirectory() as directory:
        asyncio.run(run(program, Path(directory)))
