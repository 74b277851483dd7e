"""Topology: how the tables of a data source lie in ClickHouse: on one server, or on a cluster.

    one server   t_1          holds rows
    cluster      t_1_local    holds rows, on every server; the replicas of a shard hold the same
                 t_1          Distributed, on every server, over the local ones: what is read and inserted into

So whoever reads or inserts says `t_1`, and only what changes a table or looks behind it needs to know. A materialized
view hangs on the local table and fills a local one: its rows stay on their shard.

Rows go to shards in one of three ways, so that a repeated insert finds the shard that may have it already:

    by batch          an insert goes to one shard, chosen by its deduplication token: MergeTree
    by key            rows of one sorting key are on one shard: engines that make one row of them
    to the first one  quarantines, staging tables, service data sources: read row by row, or small

Pure. Decided in docs/decisions/0006-clusters.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from gateway.schema.engines import TUPLE, Engine
from gateway.schema.names import quote_identifier, quote_string

DEFAULT_PATH: Final = "/clickhouse/tables/{uuid}/{shard}"
LOCAL_SUFFIX: Final = "_local"

BY_BATCH: Final = "rand()"
"""Sharding key of tables whose inserts name their shard; what is inserted without a token is spread evenly."""
FIRST_SHARD: Final = "0"

_DDL_SECONDS_MAX: Final = 30

# What a statement on a cluster must run with, whatever profiles say.
_SETTINGS: Final[Mapping[str, str | int]] = {
    # An insert is confirmed by the shards, not by a queue on the disk of the server that was asked.
    "distributed_foreground_insert": 1,
    # Rows of an INSERT … SELECT go where the sharding says, not to wherever they were read.
    "parallel_distributed_insert_select": 0,
    # Inserts and reads go to the first replica of each shard that lives: what was inserted is read.
    "load_balancing": "in_order",
    "prefer_localhost_replica": 0,
    "skip_unavailable_shards": 0,
    # The two sides of a JOIN or IN need not be on the same shard.
    "distributed_product_mode": "global",
    "optimize_skip_unused_shards": 0,
    # DDL is done when every replica has done it.
    "distributed_ddl_output_mode": "throw",
    "distributed_ddl_task_timeout": _DDL_SECONDS_MAX,
    # One replica of a shard empties or moves; the others have done it too before that is done, or it fails.
    "alter_sync": 2,
    "replication_wait_for_inactive_replica_timeout": 0,
}


@dataclass(frozen=True, slots=True)
class Topology:
    """See the module.

    Attributes:
        cluster: name of the cluster, as ClickHouse knows it; "" for one server.
        path: where replicated tables meet in Keeper; ClickHouse fills in `{uuid}` and `{shard}`.
        insert_quorum: replicas that have an insert before it is confirmed; 0: one.
    """

    cluster: str = ""
    path: str = DEFAULT_PATH
    insert_quorum: int = 0

    @property
    def on_cluster(self) -> str:
        """The clause that has a statement run on every server."""
        return f" ON CLUSTER {quote_identifier(self.cluster)}" if self.cluster else ""

    @property
    def replica(self) -> str:
        """The arguments by which a Replicated engine finds its siblings; "" if engines are not replicated."""
        return f"{quote_string(self.path)}, '{{replica}}'" if self.cluster else ""

    def local(self, table: str) -> str:
        """Return the name of the table that holds the rows of `table`."""
        return f"{table}{LOCAL_SUFFIX}" if self.cluster else table

    def plain(self, table: str) -> str:
        """Return the name of the table whose rows are in `table`: what `local` was given."""
        return table.removesuffix(LOCAL_SUFFIX) if self.cluster else table

    def system(self, table: str) -> str:
        """Return where to read a table of `system` about what is stored: one replica of each shard tells."""
        return f"cluster({quote_string(self.cluster)}, system.{table})" if self.cluster else f"system.{table}"

    def everywhere(self, table: str) -> str:
        """Return where to read a table of `system` about what happens: every server tells."""
        return (
            f"clusterAllReplicas({quote_string(self.cluster)}, system.{table})" if self.cluster else f"system.{table}"
        )

    @property
    def settings(self) -> dict[str, str | int]:
        """What every statement runs with; nothing on one server."""
        if not self.cluster:
            return {}
        return {**_SETTINGS, **({"insert_quorum": self.insert_quorum} if self.insert_quorum else {})}


ONE_SERVER: Final = Topology()


def sharding_of(engine: Engine) -> str:
    """Return the sharding key, SQL, of the Distributed table over tables of `engine`."""
    if engine.name in {"MergeTree", "Null"}:
        return BY_BATCH
    # One row is made of those with one key: they have to meet.
    if engine.sorting_key in {"", TUPLE}:
        return FIRST_SHARD
    return f"cityHash64({engine.sorting_key})"


def shard_of(token: str, shards: Sequence[tuple[int, int]]) -> int:
    """Return the number of the shard that an insert under `token` goes to: the same, whoever asks.

    Args:
        token: deduplication token of the insert.
        shards: number and weight of each, in order; some weight is above 0.
    """
    place = int.from_bytes(blake2b(token.encode(), digest_size=8).digest()) % sum(weight for _, weight in shards)
    for number, weight in shards:
        if place < weight:
            return number
        place -= weight
    raise ValueError("a place beyond all weights")
