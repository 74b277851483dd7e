"""A ClickHouse cluster of one server, for tests: the real engine with a `remote_servers` of its own.

Real are the Distributed tables, where they send rows, and what reading through them is. The library has no queue for DDL
and no replicas, so of each statement the words for these are taken out before it runs: `ON CLUSTER`, `Replicated`. What
they say is in tests/unit/clickhouse/golden. Every table is one that is too large to be dropped without saying so.

Run as a script this module is the process.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.support.engine import EngineHandle, start_engine

CLUSTER = "one"

_CONFIG = """<clickhouse>
    <tcp_port>9000</tcp_port>
    <max_table_size_to_drop>1</max_table_size_to_drop>
    <max_partition_size_to_drop>1</max_partition_size_to_drop>
    <remote_servers><one><shard>
        <internal_replication>true</internal_replication>
        <replica><host>127.0.0.1</host><port>9000</port></replica>
    </shard></one></remote_servers>
</clickhouse>
"""

_REPLACED = (
    (rb" ON CLUSTER `one`", b""),
    (rb"Replicated(\w*MergeTree)\('/clickhouse/[^']*', '\{replica\}'(?:, )?", rb"\1("),
    (
        rb", replicated_deduplication_window = (\d+), replicated_\w+_seconds = \d+",
        rb", non_replicated_deduplication_window = \1",
    ),
    (rb"(prefer_localhost_replica=)'0'", rb"\1'1'"),  # there is no port to be connected to
    (rb"^SYSTEM SYNC REPLICA .*", b"SELECT 1"),
    (rb"system\.distributed_ddl_queue", b"(SELECT '' AS cluster, '' AS query WHERE 0)"),
)


@contextmanager
def cluster_process(data_dir: Path) -> Iterator[EngineHandle]:
    """The cluster, gone when the block ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "config.xml").write_text(_CONFIG)
    engine = start_engine(data_dir, module="tests.support.cluster")
    try:
        yield engine
    finally:
        engine.close()


class _Rewriting:
    """A connection of the library that leaves those words out."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def query(self, text: bytes, *rest: Any, **named: Any) -> Any:
        for pattern, instead in _REPLACED:
            text = re.sub(pattern, instead, text)
        return self._inner.query(text, *rest, **named)


class _Engine:
    """The library, whose connections are those."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect(self, address: str) -> _Rewriting:
        return _Rewriting(self._inner.connect(address))


def _main() -> int:
    from gateway.engine import library
    from gateway.engine.options import EngineOptions
    from gateway.engine.server import run

    data_dir = Path(sys.argv[1])
    library._SERVER_DEFAULTS += f"&config-file={data_dir / 'config.xml'}"
    library._engine = _Engine(library._engine)
    options = EngineOptions(data_dir=data_dir, **orjson.loads(sys.argv[2]))
    return run(options, lambda port: print(port, flush=True))


if __name__ == "__main__":
    sys.exit(_main())
