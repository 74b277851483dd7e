"""Who uses a PostgreSQL database now: one node of each place, all with one secret."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.catalog.presence import NotAlone, Presence, check_secret, is_present
from gateway.core.clock import SystemClock


class Hasty(SystemClock):
    """Nobody waits for long."""

    async def sleep(self, seconds):
        await asyncio.sleep(min(seconds, 0.01))

    def monotonic(self):
        return 100 * super().monotonic()


@asynccontextmanager
async def node(url, place="here", secret="one secret"):
    presence = await Presence.enter(url, place, secret, Hasty())
    keeping = asyncio.create_task(presence.run())
    try:
        yield presence
    finally:
        keeping.cancel()
        await presence.aclose()


async def until(look):
    clock = Hasty()
    async with asyncio.timeout(20):
        while not await look():
            await clock.sleep(0.01)


async def test_nodes_of_several_places_with_one_secret_are_beside_each_other(postgres_url):
    async with node(postgres_url, "here"), node(postgres_url, "there"):
        assert await is_present(postgres_url, "here")
        assert await is_present(postgres_url, "there")
        await check_secret(postgres_url, "one secret")

    assert not await is_present(postgres_url, "here")
    await check_secret(postgres_url, "another secret")


async def test_a_place_and_another_secret_are_refused_while_a_node_is_there(postgres_url):
    async with node(postgres_url):
        with pytest.raises(NotAlone, match="the same data directory, or a copy of it"):
            await Presence.enter(postgres_url, "here", "one secret", Hasty())
        with pytest.raises(NotAlone, match="another secret"):
            await Presence.enter(postgres_url, "there", "another secret", Hasty())
        with pytest.raises(NotAlone, match="another secret"):
            await check_secret(postgres_url, "another secret")

    async with node(postgres_url, secret="another secret"):
        assert await is_present(postgres_url, "here")


async def test_of_nodes_that_come_at_once_with_different_secrets_one_is_let_in(postgres_url):
    entering = [Presence.enter(postgres_url, f"node {n}", f"secret {n}", Hasty()) for n in range(4)]

    found = await asyncio.gather(*entering, return_exceptions=True)

    let_in = [each for each in found if isinstance(each, Presence)]
    assert len(let_in) == 1, found
    assert sum(isinstance(each, NotAlone) for each in found) == 3
    await let_in[0].aclose()


async def test_a_session_that_breaks_off_is_made_again(postgres_url, postgres):
    async with node(postgres_url):
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice presence'"
        )
        await until(lambda: is_present(postgres_url, "here"))
        with pytest.raises(NotAlone):
            await Presence.enter(postgres_url, "here", "one secret", Hasty())


async def test_a_database_that_does_not_answer_is_told_when_it_does(postgres_url, postgres):
    postgres.stop()
    try:
        entering = asyncio.create_task(Presence.enter(postgres_url, "here", "one secret", Hasty()))
        presence = await entering
    finally:
        postgres.start()
    keeping = asyncio.create_task(presence.run())
    await until(lambda: is_present(postgres_url, "here"))
    keeping.cancel()
    await presence.aclose()


async def test_where_nobody_else_can_be_nobody_is_asked(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}"

    assert await Presence.enter(url, "here", "one secret", Hasty()) is None
    assert not await is_present(url, "here")
    await check_secret(url, "any")
