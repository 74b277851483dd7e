"""Holds: a moment in which nobody inserts into a data source, so that a view can begin between two inserts.

Whoever wants it writes a text of its own into the data source's record. Every inserter looks there before it sends,
and waits while the text stands; events are accepted meanwhile. It waits `HOLD_SECONDS_MAX` at most, by its own clock,
from when it first saw that text: whoever dies holding it stops nobody for longer.
"""

from collections.abc import Callable
from typing import Final

from gateway.catalog import Catalog
from gateway.core.clock import Clock

HOLD_SECONDS_MAX: Final = 30.0
_LOOK_SECONDS: Final = 0.05


class Holds:
    """See the module. One per process."""

    def __init__(self, look: Callable[[str], str], clock: Clock) -> None:
        """Wait by `clock`; `look` gives the text of a data source by its id, "" if nobody holds it."""
        self._look = look
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}

    async def wait(self, datasource_id: str) -> None:
        """Return when rows may be sent to the data source."""
        while hold := self._look(datasource_id):
            known, since = self._seen.get(datasource_id, ("", 0.0))
            if known != hold:
                since = self._clock.monotonic()
                self._seen[datasource_id] = hold, since
            if self._clock.monotonic() - since >= HOLD_SECONDS_MAX:
                return
            await self._clock.sleep(_LOOK_SECONDS)
        self._seen.pop(datasource_id, None)


def holds_of(catalog: Catalog, clock: Clock) -> Holds:
    """Return what inserters ask, who find data sources in `catalog`."""

    def look(datasource_id: str) -> str:
        found = catalog.snapshot.datasources.get(datasource_id)
        return found.hold if found else ""

    return Holds(look, clock)
