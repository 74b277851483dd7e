"""A ClickHouse of a few lines: tables, a deduplication window, and switches for every way an insert can end."""

import asyncio
from collections import deque

import pyarrow as pa

from gateway.clickhouse.errors import ServerError


class FakeClickHouse:
    """Satisfies `flush.Inserter`. `tables[datasource id, quarantine?]` holds rows as tuples, in the order they landed."""

    def __init__(self, dedup_window: int = 1000) -> None:
        self.tables: dict[tuple[str, bool], list[tuple]] = {}
        self.inserts = 0
        self.answers: deque[str] = deque()  # what happens to the next inserts: ok, down, lost, busy, unknown
        self.refused_values: set[object] = set()  # a row with one of these is refused, and its whole insert with it
        self.unknown: set[str] = set()  # data sources without a table
        self.is_down = False
        self._window = dedup_window
        self._tokens: dict[tuple[str, bool], deque[str]] = {}

    async def insert(
        self, datasource_id: str, quarantine: bool, columns: list[str], body: bytes, token: str, *, is_json=False
    ) -> None:
        await asyncio.sleep(0)
        self.inserts += 1
        answer = self.answers.popleft() if self.answers else "ok"
        if self.is_down or answer == "down":
            raise ServerError("connection refused", None)
        if answer == "busy":
            raise ServerError("Too many parts", 252)
        if answer == "unknown" or datasource_id in self.unknown:
            raise ServerError("Table does not exist", 60)
        table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
        assert table.schema.names == columns
        rows = [tuple(row[name] for name in columns) for row in table.to_pylist()]
        if not quarantine and any(value in self.refused_values for row in rows for value in row):
            raise ServerError("Cannot parse", 27)
        self._commit((datasource_id, quarantine), rows, token)
        if answer == "lost":
            raise ServerError("connection reset", None)

    def _commit(self, key: tuple[str, bool], rows: list[tuple], token: str) -> None:
        tokens = self._tokens.setdefault(key, deque(maxlen=self._window))
        if token not in tokens:
            tokens.append(token)
            self.tables.setdefault(key, []).extend(rows)
