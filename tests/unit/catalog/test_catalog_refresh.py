"""How the snapshot stays fresh: within a bound, without hammering the database, and without ever waiting for it."""

import asyncio

import pytest

from gateway.catalog import Catalog, CatalogOptions, Definition
from gateway.catalog.news import News
from gateway.core.errors import Unavailable


class StepClock:
    """Time that passes only by sleeping; remembers how long each sleep was to be."""

    def __init__(self):
        self.time = 100.0
        self.slept = []

    def now(self):
        return self.time

    def monotonic(self):
        return self.time

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class Watched:
    """A store that counts the checks, can hold them at a gate, and can be out of reach."""

    def __init__(self, store):
        self.store = store
        self.checks = 0
        self.is_down = False
        self.looked = asyncio.Queue()  # one entry for each check that has read, and may still be held
        self.gate = asyncio.Event()
        self.gate.set()

    async def changes_since(self, version):
        self.checks += 1
        changes = await self.store.changes_since(version)
        self.looked.put_nowait(None)
        await self.gate.wait()
        if self.is_down:
            raise Unavailable("The metadata database does not answer; try again")
        return changes

    async def further(self, checks):
        """Return when `checks` more have read."""
        self.looked = asyncio.Queue()
        for _ in range(checks):
            await self.looked.get()


@pytest.fixture
def clock():
    return StepClock()


@pytest.fixture
def watched(store):
    return Watched(store)


@pytest.fixture
async def catalog(watched, clock):
    catalog = Catalog(watched, clock)
    await catalog.start()
    return catalog


async def _create(store, name="events"):
    async with store.change() as change:
        workspace = (await store.list_workspaces())[0]
        return await change.create_datasource(workspace.id, Definition(name, "a Int64"))


async def test_a_started_catalog_has_everything(catalog, store):
    assert catalog.snapshot == await store.load_snapshot()


async def test_what_another_process_did_is_seen_after_a_refresh(catalog, other_store):
    datasource = await _create(other_store)

    await catalog.refresh()

    assert catalog.snapshot.datasource(datasource.workspace_id, "events") == datasource


async def test_a_running_catalog_sees_changes_by_itself(catalog, clock, watched, other_store):
    datasource = await _create(other_store)

    task = asyncio.ensure_future(catalog.run())
    await watched.further(checks=2)
    await catalog.aclose()
    await task

    assert datasource.id in catalog.snapshot.datasources
    assert 0.5 in clock.slept


@pytest.fixture
def news(tmp_path):
    """How another process of the node says that it changed something."""
    news = News(tmp_path / "news")
    yield news
    news.close()


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_change_on_this_node_does_not_wait_for_the_turn_of_polling(store, watched, clock, news, is_told):
    catalog = Catalog(watched, clock, CatalogOptions(poll_seconds=3600), mark=news.mark)
    await catalog.start()
    datasource = await _create(store)
    if is_told:
        news.tell()
    began = clock.time
    watched.gate.clear()

    task = asyncio.ensure_future(catalog.run())
    await watched.further(checks=1)
    waited = clock.time - began
    await catalog.aclose()
    watched.gate.set()
    await task

    assert datasource.id in catalog.snapshot.datasources
    assert (waited < 1) == is_told


async def test_without_news_a_told_catalog_still_asks_at_each_turn(watched, clock, news):
    catalog = Catalog(watched, clock, CatalogOptions(poll_seconds=10), mark=news.mark)
    await catalog.start()
    began = clock.time

    task = asyncio.ensure_future(catalog.run())
    await watched.further(checks=3)
    await catalog.aclose()
    await task

    assert clock.time - began >= 3 * 10 - 0.05


async def test_a_database_that_is_away_is_asked_once_a_turn_although_there_is_news(watched, clock, news):
    catalog = Catalog(watched, clock, CatalogOptions(poll_seconds=10), mark=news.mark)
    await catalog.start()
    watched.is_down = True
    news.tell()
    began = clock.time

    task = asyncio.ensure_future(catalog.run())
    await watched.further(checks=4)
    await catalog.aclose()
    await task

    assert clock.time - began >= 3 * 10 - 0.05


async def test_callers_share_one_check(catalog, watched, store):
    watched.checks = 0
    datasource = await _create(store)

    await asyncio.gather(*(catalog.refresh() for _ in range(500)))

    assert watched.checks == 1
    assert datasource.id in catalog.snapshot.datasources


async def test_who_comes_while_a_check_is_under_way_waits_for_the_next(catalog, watched, store):
    watched.checks = 0
    watched.gate.clear()
    early = asyncio.ensure_future(catalog.refresh())
    await watched.further(checks=1)
    datasource = await _create(store)

    late = [asyncio.ensure_future(catalog.refresh()) for _ in range(10)]
    await asyncio.sleep(0)
    watched.gate.set()
    await early
    await asyncio.gather(*late)

    assert watched.checks == 2
    assert datasource.id in catalog.snapshot.datasources


async def test_checks_keep_their_distance(catalog, clock, watched):
    clock.slept.clear()
    watched.checks = 0

    for _ in range(10):
        await catalog.refresh()

    assert watched.checks == 10
    assert clock.slept == pytest.approx([0.05] * 10)


async def test_a_check_after_a_quiet_time_does_not_wait(catalog, clock):
    clock.slept.clear()
    clock.time += 1

    await catalog.refresh()

    assert clock.slept == []


async def test_the_snapshot_outlives_the_database(catalog, clock, watched):
    before = catalog.snapshot
    clock.time += 1
    watched.is_down = True

    with pytest.raises(Unavailable, match="does not answer"):
        await catalog.refresh()

    assert catalog.snapshot is before
    assert catalog.age_seconds() == 1


async def test_who_only_reads_asks_once_of_a_database_that_is_away_and_goes_on(catalog, watched, store):
    watched.is_down = True
    watched.checks = 0

    for _ in range(3):
        await catalog.refresh_if_told(ask=True)
    assert watched.checks == 1

    watched.is_down = False
    await catalog.refresh()  # as polling does
    datasource = await _create(store)
    await catalog.refresh_if_told(ask=True)
    assert datasource.id in catalog.snapshot.datasources


async def test_who_only_reads_does_not_wait_for_a_database_that_says_nothing(watched, clock):
    catalog = Catalog(watched, clock, CatalogOptions(reading_waits_seconds_max=0.01))
    await catalog.start()
    before = catalog.snapshot
    watched.gate.clear()

    await asyncio.gather(*(catalog.refresh_if_told(ask=True) for _ in range(5)))
    assert catalog.snapshot is before
    assert watched.checks == 2  # the first of all, and one that they share
    clock.time += 10
    await asyncio.wait_for(catalog.refresh_if_told(ask=True), 5)
    watched.gate.set()
    await catalog.refresh()


async def test_callers_share_a_failure(catalog, watched):
    watched.checks = 0
    watched.is_down = True

    results = await asyncio.gather(*(catalog.refresh() for _ in range(50)), return_exceptions=True)

    assert watched.checks == 1
    assert {type(result) for result in results} == {Unavailable}
    assert len({id(result) for result in results}) == 50


async def test_a_running_catalog_survives_a_database_that_is_away(catalog, watched, store):
    watched.is_down = True
    task = asyncio.ensure_future(catalog.run())
    await watched.further(checks=3)
    watched.is_down = False
    datasource = await _create(store)

    await watched.further(checks=2)
    await catalog.aclose()
    await task

    assert datasource.id in catalog.snapshot.datasources


async def test_a_check_cut_off_is_done_by_the_next_in_line(catalog, watched, store):
    watched.gate.clear()
    first = asyncio.ensure_future(catalog.refresh())
    await watched.further(checks=1)
    second = asyncio.ensure_future(catalog.refresh())
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    watched.gate.set()
    datasource = await _create(store)
    await catalog.refresh()
    await second

    assert first.cancelled()
    assert datasource.id in catalog.snapshot.datasources


async def test_a_closed_catalog_asks_no_more(catalog, watched):
    watched.checks = 0

    await catalog.aclose()
    await catalog.aclose()
    await catalog.refresh()

    assert watched.checks == 0


async def test_a_catalog_that_cannot_start_says_so(watched, clock):
    watched.is_down = True

    with pytest.raises(Unavailable):
        await Catalog(watched, clock, CatalogOptions()).start()
