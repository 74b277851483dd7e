"""Inserts on a cluster: which shard, and what a failure of one shard means for the rest of a batch."""

import asyncio

import pytest

from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.inserter import ClickHouseInserter, Route
from gateway.flush.retry import Kind, classify

REFUSED = ServerError("Received from shard-2:9000. DB::Exception: Cannot parse date", 38)


class Server:
    """Takes inserts, or fails as it is told."""

    def __init__(self, error=None):
        self.error = error
        self.settings = []

    async def insert(self, database, table, columns, body, settings, form):
        self.settings.append(settings)
        if self.error:
            raise self.error


def inserted(server, route):
    async def spread(datasource_id, quarantine, token):
        return route

    inserter = ClickHouseInserter(server, lambda *_: ("ws", "t"), spread=spread)
    asyncio.run(inserter.insert("t", False, ["a"], b"", "token-1"))


def test_an_insert_says_its_shard_and_its_token():
    server = Server()

    inserted(server, Route({"insert_shard_id": 3}))

    (settings,) = server.settings
    assert (settings["insert_shard_id"], settings["insert_deduplication_token"]) == (3, "token-1")


@pytest.mark.parametrize(
    ("error", "is_whole", "kind"),
    [
        (REFUSED, True, Kind.DATA),  # nothing of it is there: it may be cut in halves
        (REFUSED, False, Kind.HOLD),  # cut in halves, what another shard has would come again
        (ServerError("Cannot parse date", 38), False, Kind.DATA),  # before any shard got something
        (ServerError("Received from shard-2:9000. DB::Exception: Too many parts", 252), False, Kind.BUSY),
        (ServerError("Received from shard-2:9000. DB::Exception: no answer", None), False, Kind.OUTAGE),
    ],
)
def test_a_batch_that_a_shard_refused_in_part_is_held_and_not_cut(error, is_whole, kind):
    with pytest.raises(ServerError) as refused:
        inserted(Server(error), Route({}, is_whole=is_whole))

    assert classify(refused.value.code, str(refused.value)) is kind
