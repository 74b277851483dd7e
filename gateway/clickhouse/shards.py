"""Shards: where on a cluster the inserts into a data source go; see `topology`."""

from gateway.catalog import Catalog
from gateway.clickhouse.client import Client
from gateway.clickhouse.inserter import Spread
from gateway.clickhouse.topology import BY_BATCH, sharding_of


def spread_of(catalog: Catalog, client: Client) -> Spread | None:
    """Return what says which shard an insert goes to, for data sources of `catalog`; None on one server."""
    if not client.topology.cluster:
        return None

    async def spread(datasource_id: str, quarantine: bool, token: str) -> dict[str, int]:
        if quarantine or sharding_in(catalog, datasource_id) != BY_BATCH:
            return {}  # the table's sharding key says it
        return await client.shard(token)

    return spread


def sharding_in(catalog: Catalog, datasource_id: str) -> str:
    """Return the sharding key of the table of a data source of `catalog`; of one that is gone, any."""
    found = catalog.snapshot.datasources.get(datasource_id)
    return sharding_of(found.engine) if found else BY_BATCH
