"""Made: whether the tables that are there were made for this topology. If not, nothing may be sent to them.

Tables of one server do not become those of a cluster by a setting, nor the other way: a batch in doubt would look for
its token where it never was, and what changes a table would change half of it.
"""

from collections.abc import Iterable
from typing import Final

from gateway.clickhouse.client import Client
from gateway.clickhouse.topology import LOCAL_SUFFIX

_MADE: Final = (
    "SELECT DISTINCT database, endsWith(name, {suffix:String}), "
    "if(engine = 'Distributed', extract(engine_full, '^Distributed\\\\(\\'?([^\\',]+)'), '') "
    "FROM system.tables WHERE startsWith(database, 'ws_') AND startsWith(name, 't_') AND engine != 'MaterializedView'"
)


class MadeOtherwise(Exception):
    """The tables are those of another topology; the message is for the operator."""


async def check_made(client: Client, databases: Iterable[str]) -> None:
    """Return if the data sources in `databases` were made as `client` would make them, or there are none.

    Raises:
        MadeOtherwise: they were not.
        ServerError: ClickHouse does not say.
    """
    wanted, ours = client.topology.cluster, set(databases)
    found = await client.rows(_MADE, {"suffix": LOCAL_SUFFIX}) if ours else []
    clusters = {str(cluster) for database, _, cluster in found if database in ours and cluster}
    is_local = any(local for database, local, _ in found if database in ours)
    is_alone = any(not local and not cluster for database, local, cluster in found if database in ours)
    if not wanted and (clusters or is_local):
        name = f" '{min(clusters)}'" if clusters else ""
        raise MadeOtherwise(
            f"the data sources were made on the ClickHouse cluster{name}: set clickhouse_cluster, as all other nodes "
            "have it"
        )
    if wanted and is_alone:
        raise MadeOtherwise(
            f"the data sources were made on one ClickHouse server, and do not become those of the cluster '{wanted}': "
            "leave clickhouse_cluster out, or start a second gateway on the cluster and copy the rows over, as "
            "docs/clusters.md says"
        )
    if wanted and clusters - {wanted}:
        raise MadeOtherwise(
            f"the data sources were made on the ClickHouse cluster '{min(clusters - {wanted})}', and "
            f"clickhouse_cluster says '{wanted}': set it as all other nodes have it"
        )
