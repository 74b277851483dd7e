"""What a start must not load: it is most of the time until a gateway is ready."""

import subprocess
import sys
from pathlib import Path

import pytest

LATE = {
    "gateway.server": {
        "alembic",
        "sqlglot",
        "clickhouse_connect",
        "pyarrow.parquet",
        "pyarrow.compute",
        "gateway.imports.run",
        "opentelemetry",
        "numpy",
        "pandas",
    },
    "gateway.engine.server": {"sqlalchemy", "pyarrow", "gateway.catalog"},
    "gateway.supervisor.run": {"aiohttp", "sqlalchemy", "pyarrow"},
}
LOOK = """
import sys
from gateway.cli import _load, preload
module, *late = sys.argv[1:]
(preload if module == "gateway.engine.server" else _load)(module)
assert module in sys.modules
print(*sorted(set(late) & sys.modules.keys()))
"""


@pytest.mark.parametrize("module", LATE)
def test_a_process_starts_without_what_its_first_moment_does_not_need(module):
    found = subprocess.run(
        [sys.executable, "-c", LOOK, module, *LATE[module]],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == []
