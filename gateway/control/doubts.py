"""Doubts: a hold ends while rows are in doubt, for behind it they would be counted twice. One per worker.

A batch is in doubt that ClickHouse may have although it did not say so, or has while a view fails: it will be sent
again. A populate that drew its boundary now would find its rows in the table, and the new view would see them too. So
the worker that has such a batch takes the hold away; who wanted it begins anew. See `clickhouse.holds`.
"""

from collections.abc import Callable
from typing import Final

from gateway.catalog import Catalog, CatalogStore, Datasource, Snapshot
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# Of the time that a hold takes to be heard of; `populating` waits longer than for that and this.
_LOOK_SECONDS: Final = 0.2


class Doubts:
    """See the module."""

    def __init__(self, catalog: Catalog, store: CatalogStore, is_in_doubt: Callable[[str], bool], clock: Clock) -> None:
        """End holds in `store`; `is_in_doubt` says of a data source's id whether rows of it are in doubt here."""
        self._catalog = catalog
        self._store = store
        self._is_in_doubt = is_in_doubt
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._held: list[Datasource] = []

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except GatewayError as error:
                _logger.warning("hold.not_ended", reason=str(error))
            await self._clock.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """End the holds of which rows are in doubt.

        Raises:
            Unavailable: the metadata database does not answer.
        """
        snapshot = self._catalog.snapshot
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._held = [each for each in snapshot.datasources.values() if each.hold]
        for each in self._held:
            if self._is_in_doubt(each.id):
                _logger.info("hold.ended", datasource=each.id)
                async with self._store.change() as change:
                    await change.release_datasource(each.id, each.hold)
                await self._catalog.refresh()
