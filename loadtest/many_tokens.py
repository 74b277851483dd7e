"""Many tokens: put straight into the metadata of a gateway that is stopped, for the API makes one at a time."""

import asyncio
import sqlite3
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

from gateway.auth import Authenticator
from gateway.auth.token import mint
from gateway.catalog import CatalogStore
from gateway.core.clock import SystemClock

_COLUMNS = (
    "id", "workspace_id", "name", "description", "scopes", "origin_type", "origin_resource_id", "secret_version",
    "builtin", "created_at", "changed_version",
)  # fmt: skip
_TIMED_MAX = 20_000


def add_tokens(data_dir: Path, number: int, scope: str) -> list[str]:
    """Make tokens with one scope; return their strings. No process may use `data_dir`."""
    secret = _secret(data_dir)
    with sqlite3.connect(data_dir / "metadata.db") as database:
        database.execute("UPDATE catalog_version SET version = version + 1")
        ((version,),) = database.execute("SELECT version FROM catalog_version")
        ((workspace,),) = database.execute("SELECT id FROM workspaces LIMIT 1")
        ids = [str(uuid.uuid4()) for _ in range(number)]
        database.executemany(
            f"INSERT INTO tokens ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",
            (
                (each, workspace, f"bench_{n}", "", f'["{scope}"]', "C", None, 1, None, time.time(), version)
                for n, each in enumerate(ids)
            ),
        )
    database.close()
    return [mint(secret, workspace, each) for each in ids]


def authentication_us(data_dir: Path, strings: list[str]) -> tuple[float, float]:
    """Return what it costs a worker to find out who shows a token: the first time, and from then on."""
    catalog = SimpleNamespace(snapshot=asyncio.run(_snapshot(data_dir)))
    authenticator = Authenticator(catalog, _secret(data_dir))
    timed = strings[:_TIMED_MAX]
    took = []
    for _ in range(2):
        began = time.perf_counter()
        for each in timed:
            authenticator.authenticate(each)
        took.append((time.perf_counter() - began) / len(timed) * 1e6)
    return took[0], took[1]


async def _snapshot(data_dir: Path):
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{data_dir / 'metadata.db'}", SystemClock())
    try:
        return await store.load_snapshot()
    finally:
        await store.aclose()


def _secret(data_dir: Path) -> bytes:
    return (data_dir / "secret").read_text().strip().encode()
