"""Shards: where on a cluster the inserts into a data source go; see `topology`."""

from gateway.catalog import Catalog
from gateway.clickhouse.client import Client
from gateway.clickhouse.inserter import Route, Spread
from gateway.clickhouse.topology import BY_BATCH, FIRST_SHARD, sharding_of


def spread_of(catalog: Catalog, client: Client) -> Spread | None:
    """Return what says how an insert goes, for data sources of `catalog`; None on one server."""
    if not client.topology.cluster:
        return None

    async def spread(datasource_id: str, quarantine: bool, token: str) -> Route:
        key = FIRST_SHARD if quarantine else sharding_in(catalog, datasource_id)
        if key == BY_BATCH:
            return Route(await client.shard(token))
        # The table's sharding key says it.
        return Route({}, is_whole=key == FIRST_SHARD or len(await client.shards()) == 1)

    return spread


def sharding_in(catalog: Catalog, datasource_id: str) -> str:
    """Return the sharding key of the table of a data source of `catalog`; of one that is gone, any."""
    found = catalog.snapshot.datasources.get(datasource_id)
    return sharding_of(found.engine) if found else BY_BATCH
