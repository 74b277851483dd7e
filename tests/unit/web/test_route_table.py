"""The table of routes, a part of which is made after the start."""

import asyncio

import pytest

from gateway.auth.access import Access
from gateway.core.errors import Unavailable
from gateway.web.front import Route, RouteTable
from gateway.web.target import parse_target


async def _handler(_request):
    raise AssertionError


def route(path, method="GET"):
    return Route(method, path, _handler, Access.PUBLIC, 0)


class Rest:
    """Makes `/late/{name}` when it may; fails as often as it is told to."""

    def __init__(self, failures=0):
        self.may = asyncio.Event()
        self.begun = 0
        self._failures = failures

    async def __call__(self):
        self.begun += 1
        await self.may.wait()
        if self.begun <= self._failures:
            raise Unavailable("not now")
        return [route("/late/{name}"), route("/late/{name}", "PUT")]


def found(table, path):
    methods, captures = table.find(parse_target(path))
    return sorted(methods), captures


def test_a_table_that_is_whole_from_the_start_waits_for_nothing():
    assert RouteTable([route("/now")]).is_whole


async def test_the_rest_is_made_once_and_found_beside_what_was_there():
    rest = Rest()
    table = RouteTable([route("/now")], rest)
    waiting = [asyncio.create_task(table.complete()) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.01)

    assert (found(table, "/now"), found(table, "/late/one")) == ((["GET"], {}), ([], {}))
    assert not table.is_whole
    rest.may.set()
    await asyncio.gather(*waiting)
    await table.complete()

    assert table.is_whole
    assert (found(table, "/now"), found(table, "/late/one")) == ((["GET"], {}), (["GET", "PUT"], {"name": "one"}))
    assert rest.begun == 1


async def test_a_client_that_goes_away_does_not_take_the_others_along():
    rest = Rest()
    table = RouteTable([], rest)
    gone, stays = asyncio.create_task(table.complete()), asyncio.create_task(table.complete())
    await asyncio.wait([gone, stays], timeout=0.01)

    gone.cancel()
    rest.may.set()
    await stays

    assert table.is_whole
    assert rest.begun == 1


async def test_what_could_not_be_made_is_said_and_made_by_the_next_who_asks():
    rest = Rest(failures=1)
    rest.may.set()
    table = RouteTable([], rest)

    with pytest.raises(Unavailable, match="not now"):
        await table.complete()
    assert not table.is_whole
    await table.complete()

    assert found(table, "/late/one")[0] == ["GET", "PUT"]
