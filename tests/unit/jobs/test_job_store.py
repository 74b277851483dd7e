"""The record of jobs: who may take one, who may write about it, and what is kept of it."""

import asyncio

import pytest

from gateway.core.errors import Conflict, Internal, NotFound
from gateway.jobs import Filters, JobLost, Status
from gateway.jobs.store import LEASE_SECONDS_MAX
from tests.support.jobs import pass_time

KINDS = ("import", "delete_data")
LEASE = 10.0
HOUR = 3600.0


async def take(store, owner="a", place="here", kinds=KINDS):
    return await store.claim(owner, place, kinds, LEASE)


async def ended(store, job, status=Status.DONE, **more):
    """Take `job`, which is the oldest, and bring it to its end."""
    taken = await take(store)
    assert taken.id == job.id
    await store.finish(taken.lease, job.id, status, **more)
    await store.tidied(taken.lease, job.id)
    return await store.get(job.workspace_id, job.id)


class TestLife:
    async def test_what_is_recorded_is_read_back_by_another_process(self, store, other, new, clock):
        made = await store.create(
            new(
                spec={"url": "http://x/ü", "n": [1, None]},
                shown={"mode": "append"},
                token_id="t",
                request_id="r",
                datasource_id="t_1",
                datasource_name="orders",
                place="here",
            )
        )

        assert (made.status, made.state, made.progress, made.started_at) == (Status.WAITING, {}, 0, None)
        assert (made.spec, made.shown) == ({"url": "http://x/ü", "n": [1, None]}, {"mode": "append"})
        assert made.created_at == made.updated_at == clock.now()
        assert await other.get(made.workspace_id, made.id) == made

    async def test_a_job_goes_from_waiting_through_checkpoints_to_done(self, store, new, clock):
        made = await store.create(new(shown={"mode": "append", "rows": 0}))
        clock.seconds += 1
        taken = await take(store)
        clock.seconds += 1
        saved = await store.checkpoint(taken.lease, made.id, {"block": 3}, shown={"rows": 7}, progress=30)
        clock.seconds += 1
        done = await store.finish(taken.lease, made.id, Status.DONE)

        assert (taken.status, taken.started_at) == (Status.WORKING, made.created_at + 1)
        assert (saved.state, saved.shown, saved.progress) == ({"block": 3}, {"mode": "append", "rows": 7}, 30)
        assert saved.updated_at == made.created_at + 2
        assert (done.status, done.progress, done.state) == (Status.DONE, 100, {"block": 3})
        assert done.updated_at == made.created_at + 3

    async def test_an_id_chosen_beforehand_is_kept(self, store, new):
        assert (await store.create(new(id="chosen"))).id == "chosen"

    async def test_a_job_begun_at_once_is_its_makers(self, store, other, new):
        made = await store.create_taken(new(), "a", LEASE)

        assert (made.status, made.attempts) == (Status.WORKING, 1)
        assert await take(other) is None
        assert (await store.finish(made.lease, made.id, Status.DONE)).status is Status.DONE

    async def test_a_failure_is_told_in_words_that_both_databases_keep(self, store, new):
        job = await store.create(new())

        failed = await ended(store, job, Status.ERROR, error="row \0 \ud800" + "x" * 9000, errors=("one", "two"))

        assert failed.error.startswith("row")
        assert len(failed.error) <= 4000
        assert failed.errors == ("one", "two")

    async def test_a_state_that_is_not_json_is_our_mistake_and_changes_nothing(self, store, new):
        await store.create(new())
        taken = await take(store)

        with pytest.raises(Internal, match="not JSON"):
            await store.checkpoint(taken.lease, taken.id, {"x": object()})
        with pytest.raises(Internal, match="bytes"):
            await store.checkpoint(taken.lease, taken.id, {"x": "y" * 5_000_000})
        assert (await store.get(taken.workspace_id, taken.id)).state == {}

    async def test_the_catalog_has_nothing_new_to_look_at(self, catalog, store, new):
        before = await catalog.version()

        await ended(store, await store.create(new()))

        assert await catalog.version() == before

    async def test_jobs_go_with_their_workspace(self, catalog, store, new):
        async with catalog.change() as change:
            workspace = await change.create_workspace("acme")
        await store.create(new(workspace_id=workspace.id))
        taken = await take(store)
        async with catalog.change() as change:
            await change.drop_workspace(workspace.id)

        with pytest.raises(JobLost):
            await store.checkpoint(taken.lease, taken.id, {})


class TestLeases:
    async def test_the_oldest_is_taken_first_and_by_one_alone(self, store, other, new, clock):
        first = await store.create(new())
        clock.seconds += 1
        second = await store.create(new())

        assert (await take(store)).id == first.id
        assert (await take(other, "b")).id == second.id
        assert await take(store) is None

    async def test_of_many_that_ask_at_once_each_gets_another(self, store, other, new):
        made = [await store.create(new()) for _ in range(5)]

        taken = await asyncio.gather(*(take((store, other)[n % 2], f"w{n}") for n in range(8)))
        while (more := await take(store)) is not None:  # one who lost a race for the oldest came away empty
            taken.append(more)

        ids = [job.id for job in taken if job is not None]
        assert sorted(ids) == sorted(job.id for job in made)

    async def test_kinds_and_places_of_others_are_left_to_them(self, store, new):
        await store.create(new("copy"))
        await store.create(new(place="elsewhere"))

        assert await take(store) is None
        assert await take(store, kinds=()) is None
        assert (await take(store, place="elsewhere")).place == "elsewhere"

    async def test_a_lease_that_ran_out_is_anothers_and_the_first_can_write_nothing(self, catalog, store, new, clock):
        job = await store.create(new())
        first = await take(store, "a")
        await store.checkpoint(first.lease, job.id, {"block": 1})
        await pass_time(catalog.database, clock, LEASE + 1)

        second = await take(store, "b")

        assert (second.id, second.state, second.attempts) == (job.id, {"block": 1}, 2)
        for write in (
            store.renew(first.lease, job.id, LEASE),
            store.checkpoint(first.lease, job.id, {"block": 9}),
            store.finish(first.lease, job.id, Status.DONE),
            store.postpone(first.lease, job.id, 1),
            store.release(first.lease, job.id),
            store.tidied(first.lease, job.id),
        ):
            with pytest.raises(JobLost):
                await write
        assert await store.get(job.workspace_id, job.id) == second

    async def test_a_worker_that_takes_its_own_lost_job_again_has_another_lease(self, catalog, store, new, clock):
        job = await store.create(new())
        first = await take(store)
        await pass_time(catalog.database, clock, LEASE + 1)

        second = await take(store)

        assert second.lease != first.lease
        with pytest.raises(JobLost):
            await store.renew(first.lease, job.id, LEASE)

    async def test_a_renewed_lease_holds(self, catalog, store, new, clock):
        job = await store.create(new())
        taken = await take(store)
        for _ in range(3):
            await pass_time(catalog.database, clock, LEASE - 1)
            assert await store.renew(taken.lease, job.id, LEASE) is Status.WORKING

        assert await take(store, "b") is None

    async def test_a_job_nobody_has_cannot_be_written_with_no_lease(self, store, new):
        job = await store.create(new())

        for write in (store.renew("", job.id, LEASE), store.checkpoint("", job.id, {})):
            with pytest.raises(JobLost):
                await write

    async def test_a_clock_that_was_set_back_does_not_keep_the_job_of_the_dead(self, catalog, store, new, clock):
        await store.create(new())
        await take(store)

        await pass_time(catalog.database, clock, -LEASE_SECONDS_MAX - LEASE)

        assert await take(store, "b") is not None

    async def test_what_a_dead_process_left_is_given_back_at_once_and_counts_as_an_attempt(self, store, new):
        await store.create(new())
        await store.create(new())
        await take(store, "p:jobs-1")
        kept = await take(store, "p:jobs-10")

        assert await store.release_all("p:jobs-1") == 1

        again = await take(store, "p:jobs-1")
        assert (again.id != kept.id, again.attempts) == (True, 2)
        assert await store.renew(kept.lease, kept.id, LEASE) is Status.WORKING

    async def test_a_job_given_back_is_taken_at_once_and_counts_no_attempt(self, store, new):
        await store.create(new())
        taken = await take(store)

        await store.release(taken.lease, taken.id)

        again = await take(store, "b")
        assert (again.status, again.attempts, again.failures) == (Status.WORKING, 1, 0)

    async def test_a_job_that_failed_waits_its_time(self, catalog, store, new, clock):
        await store.create(new())
        taken = await take(store)

        await store.postpone(taken.lease, taken.id, 30)

        assert await take(store) is None
        await pass_time(catalog.database, clock, 31)
        again = await take(store)
        assert (again.attempts, again.failures) == (1, 1)

    async def test_coming_further_forgets_failures_and_saying_the_same_again_does_not(self, store, new):
        await store.create(new())
        taken = await take(store)
        await store.checkpoint(taken.lease, taken.id, {"block": 1})
        await store.postpone(taken.lease, taken.id, 0)
        again = await take(store)

        same = await store.checkpoint(again.lease, again.id, {"block": 1}, shown={"x": 1})
        further = await store.checkpoint(again.lease, again.id, {"block": 2})

        assert (same.failures, further.failures, further.attempts) == (1, 0, 1)

    async def test_an_ended_job_is_taken_until_what_it_left_is_removed(self, catalog, store, new, clock):
        job = await store.create(new())
        taken = await take(store)
        await store.finish(taken.lease, job.id, Status.DONE)
        assert await take(store, "b") is None
        await pass_time(catalog.database, clock, LEASE + 1)

        heir = await take(store, "b")
        assert (heir.id, heir.status, heir.updated_at) == (job.id, Status.DONE, taken.updated_at)
        await store.tidied(heir.lease, job.id)

        await pass_time(catalog.database, clock, LEASE + 1)
        assert await take(store) is None


class TestCancel:
    async def test_a_waiting_job_is_cancelled_at_once_and_then_only_tidied(self, store, new):
        job = await store.create(new())

        cancelled = await store.cancel(job.workspace_id, job.id)

        assert (cancelled.status, cancelled.is_cancellable) == (Status.CANCELLED, False)
        heir = await take(store)
        assert (heir.status, heir.started_at) == (Status.CANCELLED, None)

    async def test_a_working_job_hears_of_it_and_keeps_its_checkpoint(self, store, other, new):
        job = await store.create(new())
        taken = await take(store)

        assert (await other.cancel(job.workspace_id, job.id)).status is Status.CANCELLING
        assert (await other.cancel(job.workspace_id, job.id)).status is Status.CANCELLING

        assert await store.renew(taken.lease, job.id, LEASE) is Status.CANCELLING
        assert (await store.checkpoint(taken.lease, job.id, {"n": 1})).status is Status.CANCELLING
        assert (await store.finish(taken.lease, job.id, Status.CANCELLED)).status is Status.CANCELLED

    async def test_one_that_waits_to_be_tried_again_is_taken_at_once(self, store, new):
        job = await store.create(new())
        taken = await take(store)
        await store.postpone(taken.lease, job.id, 60)

        await store.cancel(job.workspace_id, job.id)

        assert (await take(store)).status is Status.CANCELLING

    @pytest.mark.parametrize("status", [Status.DONE, Status.ERROR, Status.CANCELLED])
    async def test_an_ended_job_is_refused_with_what_became_of_it(self, store, new, status):
        job = await ended(store, await store.create(new()), status)

        with pytest.raises(Conflict, match=f"can not be cancelled: it is {status} already"):
            await store.cancel(job.workspace_id, job.id)

    async def test_a_deletion_that_has_begun_can_not_be_stopped_half_way(self, store, new):
        job = await store.create(new("delete_data"))
        assert job.is_cancellable
        assert not (await take(store)).is_cancellable

        with pytest.raises(Conflict, match="half-way"):
            await store.cancel(job.workspace_id, job.id)

    async def test_what_is_not_there_is_not_found(self, store, new):
        job = await store.create(new())

        assert await store.get(job.workspace_id, "a\0b") is None
        for workspace_id, job_id in ((job.workspace_id, "x"), ("x", job.id)):
            assert await store.get(workspace_id, job_id) is None
            with pytest.raises(NotFound, match="does not exist"):
                await store.cancel(workspace_id, job_id)
            with pytest.raises(NotFound, match="does not exist"):
                await store.retry(workspace_id, job_id, token_id="", request_id="")


class TestRetry:
    @pytest.mark.parametrize("status", [Status.ERROR, Status.CANCELLED])
    async def test_an_import_is_begun_anew_as_it_was_asked_for(self, store, new, status):
        await store.create(new(spec={"url": "u"}, shown={"mode": "append"}, datasource_name="orders", token_id="t"))
        taken = await take(store)
        await store.checkpoint(taken.lease, taken.id, {"block": 1}, shown={"mode": "odd", "blocks": [1]}, progress=50)
        old = await store.finish(taken.lease, taken.id, status, error="bad")

        made = await store.retry(old.workspace_id, old.id, token_id="t2", request_id="r2")

        assert made.id != old.id
        assert (made.spec, made.datasource_name) == ({"url": "u"}, "orders")
        assert (made.status, made.state, made.shown, made.progress) == (Status.WAITING, {}, {"mode": "append"}, 0)
        assert (made.token_id, made.request_id, made.error) == ("t2", "r2", "")

    async def test_what_succeeded_or_goes_on_is_refused(self, store, new):
        job = await store.create(new())
        with pytest.raises(Conflict, match="an import job, waiting"):
            await store.retry(job.workspace_id, job.id, token_id="", request_id="")
        await ended(store, job)
        with pytest.raises(Conflict, match="an import job, done"):
            await store.retry(job.workspace_id, job.id, token_id="", request_id="")

    async def test_what_is_no_import_is_refused(self, store, new):
        job = await ended(store, await store.create(new("delete_data")), Status.ERROR)

        with pytest.raises(Conflict, match="a delete_data job"):
            await store.retry(job.workspace_id, job.id, token_id="", request_id="")

    async def test_an_import_whose_file_is_gone_is_refused_with_what_to_do(self, store, new):
        job = await ended(store, await store.create(new(place="here")), Status.ERROR)

        with pytest.raises(Conflict, match="send it again"):
            await store.retry(job.workspace_id, job.id, token_id="", request_id="")


class TestLists:
    async def test_the_newest_come_first_of_one_workspace_alone(self, catalog, store, new, clock):
        made = []
        for _ in range(3):
            clock.seconds += 1
            made.append(await store.create(new()))
        async with catalog.change() as change:
            workspace = await change.create_workspace("acme")
        await store.create(new(workspace_id=workspace.id))

        listed = await store.list(made[0].workspace_id)

        assert listed == made[::-1]
        assert await store.list(made[0].workspace_id, limit=2) == made[:0:-1]

    async def test_every_filter_narrows_and_they_combine(self, store, new, clock):
        first = await store.create(new(token_id="mine"))
        clock.seconds += 10
        second = await store.create(new("copy", pipe_id="t_9", pipe_name="daily"))
        workspace_id = first.workspace_id

        async def found(**filters):
            return [job.id for job in await store.list(workspace_id, Filters(**filters))]

        assert await found() == [second.id, first.id]
        assert await found(kind="copy") == [second.id]
        assert await found(status="waiting", kind="import") == [first.id]
        assert await found(pipe_id="t_9") == await found(pipe_name="daily") == [second.id]
        assert await found(created_after=second.created_at) == [second.id]
        assert await found(created_before=first.created_at) == [first.id]
        assert await found(created_after=first.created_at + 1, created_before=second.created_at - 1) == []
        assert await found(kind="nonsense") == await found(status="nonsense") == []
        assert await found(pipe_name="a\0b") == []
        assert await store.list(workspace_id, token_id="mine") == [first]

    async def test_the_open_ones_are_counted(self, store, new):
        await ended(store, await store.create(new()))
        await store.create(new("copy"))
        await store.create(new("copy"))
        await store.create_taken(new(), "a", LEASE)

        assert await store.count_open() == {("copy", "waiting"): 2, ("import", "working"): 1}


class TestPurge:
    async def test_kept_are_the_last_48_hours_and_the_last_100(self, store, new, clock, monkeypatch):
        monkeypatch.setattr("gateway.jobs.store.KEPT_JOBS", 3)
        old = []
        for _ in range(5):
            old.append(await ended(store, await store.create(new())))
            clock.seconds += 1
        assert await store.purge() == 0
        clock.seconds += 49 * HOUR
        assert await store.purge() == 2
        young = await ended(store, await store.create(new()))
        assert await store.purge() == 1

        assert [job.id for job in await store.list(young.workspace_id)] == [young.id, old[4].id, old[3].id]

    async def test_each_workspace_has_its_own_100(self, catalog, store, new, clock, monkeypatch):
        monkeypatch.setattr("gateway.jobs.store.KEPT_JOBS", 1)
        async with catalog.change() as change:
            workspace = await change.create_workspace("acme")
        await ended(store, await store.create(new()))
        await ended(store, await store.create(new(workspace_id=workspace.id)))

        clock.seconds += 49 * HOUR

        assert await store.purge() == 0

    async def test_a_job_that_nobody_takes_ends_in_an_error_that_says_what_to_do(self, catalog, store, new, clock):
        waiting = await store.create(new("copy"))
        leased = await store.create_taken(new(), "a", LEASE)
        await pass_time(catalog.database, clock, 47 * HOUR)
        late = await store.create(new("copy"))
        await store.purge()
        assert {job.status for job in await store.list(late.workspace_id)} == {Status.WAITING, Status.WORKING}

        await pass_time(catalog.database, clock, 2 * HOUR)
        await store.purge()

        for job in (waiting, leased):
            found = await store.get(job.workspace_id, job.id)
            assert (found.status, "sluice worker" in found.error) == (Status.ERROR, True)
        assert (await store.get(late.workspace_id, late.id)).status is Status.WAITING
        with pytest.raises(JobLost):
            await store.finish(leased.lease, leased.id, Status.DONE)
