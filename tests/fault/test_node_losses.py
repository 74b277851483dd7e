"""Two nodes restarted, killed and lost under load: a short form of `python loadtest/nodes.py`, on PostgreSQL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IS_LONG = bool(os.environ.get("SLUICE_TEST_LONG"))
SKIPPED = 77


def run(directory, database_url, *arguments):
    """Run the script; return what it said."""
    found = subprocess.run(
        [sys.executable, "loadtest/nodes.py", "--database-url", database_url, "--keep", str(directory), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if found.returncode == SKIPPED:
        pytest.skip(found.stdout)
    assert found.returncode == 0, f"{found.stdout}\n{found.stderr}"
    return found.stdout


@pytest.mark.fault
def test_restarts_fail_no_request_and_killed_and_lost_nodes_lose_and_double_nothing(tmp_path, postgres):
    counts = (
        ("--restarts", "20", "--kills", "40", "--adopt-kills", "5")
        if IS_LONG
        else ("--restarts", "2", "--kills", "1", "--job-workers", "0", "--producers", "2")
    )

    said = run(tmp_path, postgres.new_database("nodes_fault"), *counts)

    assert ": 0 failed " in said
    assert said.count(", lost 0, doubled 0, never sent 0;") == 3


@pytest.mark.fault
@pytest.mark.skipif(not IS_LONG, reason="the long form")
@pytest.mark.parametrize("balancer", ["haproxy", "nginx"])
def test_restarts_behind_installed_balancers(tmp_path, postgres, balancer):
    said = run(tmp_path, postgres.new_database("nodes_fault"), "--only", "rolling", "--balancer", balancer)

    assert ": 0 failed " in said
