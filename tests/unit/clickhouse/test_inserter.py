"""Inserts on a cluster: which shard, and what a failure of one shard means for the rest of a batch."""

import asyncio

import pytest

from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.inserter import ClickHouseInserter, Route
from gateway.flush.retry import Kind, classify

REFUSED = ServerError("Cannot parse date", 38, "shard-2:9000")


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
        (ServerError("Too many parts", 252, "shard-2:9000"), False, Kind.BUSY),
        (ServerError("no answer", None), False, Kind.OUTAGE),
    ],
)
def test_a_batch_that_a_shard_refused_in_part_is_held_and_not_cut(error, is_whole, kind):
    with pytest.raises(ServerError) as refused:
        inserted(Server(error), Route({}, is_whole=is_whole))

    assert classify(refused.value.code, str(refused.value)) is kind


@pytest.mark.parametrize(
    ("text", "sentence", "server"),
    [
        (
            "Code: 38. DB::Exception: Received from ch-2:9000. DB::Exception: Cannot parse date. (CANNOT_PARSE_DATE)",
            "Cannot parse date. (CANNOT_PARSE_DATE)",
            "ch-2:9000",
        ),
        (
            "Code: 57. DB::Exception: There was an error on [ch-2:9000]: Code: 57. DB::Exception: Table a.b already exists.",
            "Table a.b already exists.",
            "ch-2:9000",
        ),
        ("Code: 62. DB::Exception: Syntax error: failed at position 1", "Syntax error: failed at position 1", ""),
    ],
)
def test_what_another_server_of_the_cluster_said_is_told_without_its_name(text, sentence, server):
    error = ServerError.told(text, None)

    assert (str(error), error.server) == (sentence, server)
