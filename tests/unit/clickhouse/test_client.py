"""What the driver raises, in our words: on a cluster, a part of it that is away is no answer."""

import asyncio

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import ONE_SERVER, Topology


class Driver:
    """Refuses everything with one code."""

    def __init__(self, code):
        self.server_settings = {}
        self.code = code

    async def command(self, *args, **named):
        raise DatabaseError(f"Code: {self.code}. DB::Exception: Because. (X)", code=self.code)

    raw_insert = query = command


def code_of(what, code, topology):
    async def ask():
        client = Client(ClientOptions("http://127.0.0.1:1", topology=topology))
        client._driver = Driver(code)
        if what == "insert":
            await client.insert("d", "t", ["a"], b"", {}, "ArrowStream")
        elif what == "rows":
            await client.rows("SELECT 1")
        else:
            await client.commands(["DROP TABLE t ON CLUSTER main"])

    with pytest.raises(ServerError) as raised:
        asyncio.run(ask())
    return raised.value.code


@pytest.mark.parametrize("what", ["insert", "rows", "command"])
@pytest.mark.parametrize("code", [279, 519, 999])
def test_a_shard_or_keeper_that_is_away_is_no_answer(what, code):
    assert code_of(what, code, Topology("main")) is None
    assert code_of(what, code, ONE_SERVER) == code


@pytest.mark.parametrize(("what", "found"), [("command", None), ("insert", 159), ("rows", 159)])
def test_a_replica_that_has_not_done_what_it_was_told_is_waited_for(what, found):
    assert code_of(what, 159, Topology("main")) == found


def test_a_refusal_stays_one():
    assert code_of("command", 57, Topology("main")) == 57
