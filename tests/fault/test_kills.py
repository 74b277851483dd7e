"""Kill anything under load, and count: a short form of `python loadtest/kills.py --kills 200`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.fault
def test_killed_processes_lose_and_double_nothing(tmp_path):
    kills = "200" if os.environ.get("SLUICE_TEST_LONG") else "5"

    found = subprocess.run(
        [sys.executable, "loadtest/kills.py", "--kills", kills, "--keep", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )

    assert found.returncode == 0, f"{found.stdout}\n{found.stderr}"
    assert "lost 0, doubled 0" in found.stdout
