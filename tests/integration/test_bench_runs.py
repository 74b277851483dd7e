"""The scripts of loadtest/ run: short, with their own generator, and no number is judged."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 120  # a machine may be busy; it takes about fifteen


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )


def test_a_comparison_runs_both_sides_and_its_table_has_every_arm(tmp_path):
    done = run(
        "loadtest/bench.py", "--only", "3", "--rounds", "1", "--seconds", "0.3", "--connections", "4", "--workers", "1",
        "--generator", "own", "--dir", str(tmp_path), "--out", str(tmp_path / "results"),
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    report = orjson.loads((tmp_path / "results" / "latest.json").read_bytes())
    assert report["machine"]["cpu"]
    (comparison,) = report["comparisons"]
    trials = comparison["trials"]
    assert list(trials) == ["sluice", "engine directly", "bare aiohttp + orjson"]
    for arm in ("sluice", "engine directly"):
        (trial,) = trials[arm]
        assert trial["landed_rows"] >= trial["answered_rows"] > 0
        assert trial["cpu_us_per_row.engine"] > 0
        assert trial["peak_mb.engine"] > 0
    assert trials["sluice"][0]["cpu_us_per_row.worker"] > 0
    assert all(ratio["median"] > 0 for ratio in comparison["ratios"])
    text = (tmp_path / "results" / "latest.md").read_text()
    assert "| engine directly |" in text
    assert "sluice / engine directly = **" in text


@pytest.mark.parametrize("script", ["bench.py", "load.py", "flame.py", "generator.py", "baselines.py"])
def test_a_script_says_what_it_does(script):
    done = run(f"loadtest/{script}", "--help")

    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_a_story_that_does_not_exist_is_refused_before_anything_starts():
    done = run("loadtest/load.py", "no-such-story")

    assert done.returncode == 2
    assert "steady" in done.stderr
