"""Kill the process that does jobs during imports and replaces, and count: `python loadtest/import_kills.py --kills 50`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.fault
def test_a_killed_import_ends_with_each_row_once(tmp_path):
    kills = "50" if os.environ.get("SLUICE_TEST_LONG") else "4"

    found = subprocess.run(
        [sys.executable, "loadtest/import_kills.py", "--kills", kills, "--keep", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )

    assert found.returncode == 0, f"{found.stdout}\n{found.stderr}"
    assert "turns that ended with other rows than they should: 0" in found.stdout
