"""Client: one connection pool to ClickHouse per process, over its HTTP protocol.

The driver asks the server for its version and settings when it is made, so it can only be made while the server
answers. `Client` makes it at first need and again after a failure: a gateway starts, and takes events, while ClickHouse
is down. Only then it is imported, too: that would be a tenth of a start.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import aiohttp

from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import ONE_SERVER, Topology, shard_of
from gateway.core.clock import Clock, SystemClock
from gateway.telemetry.tracing import headers as traced

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

# For inserts, where the server is new enough to know them: without this one a profile could turn deduplication off.
_WHERE_KNOWN: Final = {"deduplicate_insert": "enable"}
_WHERE_KNOWN_SELECT: Final = {"deduplicate_insert_select": "enable_even_for_bad_queries"}

# For what drops or empties: a server that was not told otherwise does so to no table of more than 50 GB.
_WHERE_KNOWN_DROP: Final = {"max_table_size_to_drop": 0, "max_partition_size_to_drop": 0}

# On a cluster: a shard does not answer, or Keeper. It is as if ClickHouse did not.
_AWAY: Final = frozenset({209, 210, 225, 279, 519, 999})

# Some replica has not done what it was told, and will. Whoever asks again finds it done, or waits.
_NOT_EVERYWHERE: Final = frozenset({159, 341})
_UNKNOWN_CLUSTER: Final = 701

_SHARDS: Final = (
    "SELECT shard_num, any(shard_weight) FROM system.clusters WHERE cluster = {cluster:String} "
    "GROUP BY shard_num HAVING any(shard_weight) > 0 ORDER BY shard_num"
)
_SHARDS_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Where ClickHouse is, and how long to wait for it."""

    url: str
    user: str = "default"
    password: str = ""
    connections_max: int = 32
    connect_seconds_max: float = 5.0
    answer_seconds_max: float = 120.0
    topology: Topology = ONE_SERVER

    def as_user(self, user: str, password: str) -> "ClientOptions":
        """Return the same place for another user, whoever the URL names."""
        parts = urlsplit(self.url)
        return replace(
            self,
            url=parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
            user=user,
            password=password,
        )

    def credentials(self) -> dict[str, str]:
        """Return the headers that say who we are; what stands in the URL wins."""
        parts = urlsplit(self.url)
        return {
            "X-ClickHouse-User": unquote(parts.username or self.user),
            "X-ClickHouse-Key": unquote(parts.password or self.password),
        }


class Client:
    """See the module. Safe to use from many tasks of one loop."""

    def __init__(self, options: ClientOptions, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.options = options
        self.topology = options.topology
        self._away = _AWAY if options.topology.cluster else frozenset()
        self._driver: AsyncClient | None = None
        self._making = asyncio.Lock()
        self._shards: tuple[float, list[tuple[int, int]]] = (0.0, [])

    async def insert(
        self, database: str, table: str, columns: list[str], body: bytes, settings: Mapping[str, Any], form: str
    ) -> None:
        """Insert `body`, in the format `form`; committed when this returns.

        Raises:
            ServerError: refused, or no answer (`code` None): it may have been committed all the same.
        """
        async with _Translated(self._away):
            driver = await self._get()
            known = {name: value for name, value in _WHERE_KNOWN.items() if name in driver.server_settings}
            await driver.raw_insert(
                f"`{database}`.`{table}`",
                column_names=columns,
                insert_block=body,
                settings={**known, **settings},
                fmt=form,
                transport_settings=traced() or None,
            )

    async def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run a statement that answers nothing.

        Raises:
            ServerError: refused, or no answer; on a cluster, `code` is None too if a replica has yet to do it.
        """
        async with _Translated(self._away | _NOT_EVERYWHERE if self._away else self._away):
            driver = await self._get()
            drops = _WHERE_KNOWN_DROP if sql.startswith(("DROP ", "TRUNCATE ")) or " DROP PART" in sql else {}
            known = {name: value for name, value in drops.items() if name in driver.server_settings}
            await driver.command(sql, settings={**known, **(settings or {})})

    async def commands(self, statements: Iterable[str], settings: Mapping[str, Any] | None = None) -> None:
        """Run statements, one after the other; see `command`."""
        for each in statements:
            await self.command(each, settings)

    async def shard(self, token: str) -> dict[str, int]:
        """Return the setting by which an insert under `token` goes to one shard; nothing on one server.

        Raises:
            ServerError: ClickHouse does not know the cluster, or does not answer.
        """
        return {"insert_shard_id": shard_of(token, await self.shards())} if self.topology.cluster else {}

    async def shards(self) -> list[tuple[int, int]]:
        """Return number and weight of each shard of the cluster that new rows may go to, in order.

        Raises:
            ServerError: see `shard`.
        """
        asked_at, found = self._shards
        now = self.clock.monotonic()
        if not found or now - asked_at > _SHARDS_SECONDS_MAX:
            rows = await self.rows(_SHARDS, {"cluster": self.topology.cluster})
            found = [(int(number), int(weight)) for number, weight in rows]
            if not found:
                raise ServerError(f"ClickHouse knows no cluster '{self.topology.cluster}'", _UNKNOWN_CLUSTER)
            self._shards = now, found
        return found

    async def insert_select(self, sql: str, settings: Mapping[str, Any]) -> None:
        """Run an INSERT … SELECT of ours, whose rows are the same and in one order each time; once for each token.

        Raises:
            ServerError: refused, or no answer (`code` None): it may have been committed all the same.
        """
        async with _Translated(self._away):
            driver = await self._get()
            known = {name: value for name, value in _WHERE_KNOWN_SELECT.items() if name in driver.server_settings}
            await driver.command(sql, settings={**known, **settings})

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a small query of ours.

        Raises:
            ServerError: refused, or no answer.
        """
        async with _Translated(self._away):
            driver = await self._get()
            result = await driver.query(sql, parameters=dict(parameters or {}))
            return [tuple(row) for row in result.result_rows]

    async def aclose(self) -> None:
        """Let go of the connections. Safe twice."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()

    async def _get(self) -> "AsyncClient":
        if self._driver is None:
            async with self._making:
                if self._driver is None:
                    self._driver = await self._make()
        return self._driver

    async def _make(self) -> "AsyncClient":
        driver = await asyncio.to_thread(import_module, "clickhouse_connect.driver")
        options = self.options
        parts = urlsplit(options.url)
        made: AsyncClient = await driver.create_async_client(
            interface=parts.scheme or "http",
            host=parts.hostname or "localhost",
            port=parts.port or 8123,
            username=unquote(parts.username or options.user),
            password=unquote(parts.password or options.password),
            connector_limit=options.connections_max,
            connector_limit_per_host=options.connections_max,
            connect_timeout=options.connect_seconds_max,
            send_receive_timeout=options.answer_seconds_max,
            query_retries=0,
            compress=False,
            client_name="sluice",
            settings=options.topology.settings,
        )
        return made


class _Translated:
    """Turns whatever the driver raises into a `ServerError`; codes in `away` are no answer."""

    def __init__(self, away: frozenset[int]) -> None:
        self._away = away

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415  see the module

        if isinstance(error, ClickHouseError):
            found = ServerError.of(error)
            if found.code in self._away:
                found = ServerError(f"a part of the cluster does not answer: {found}", None, found.server)
            raise found from error
        if isinstance(error, (aiohttp.ClientError, OSError, TimeoutError)):
            raise ServerError(f"no answer from ClickHouse ({type(error).__name__})", None) from error
