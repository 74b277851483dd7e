"""The scripts of loadtest/ run: short, with their own generator, and no number is judged."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 500  # a machine may be busy; it takes about fifteen


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )


def bench(tmp_path, *arguments, seconds="0.3"):
    """Run bench.py for one round; return its JSON and its text."""
    done = run(
        "loadtest/bench.py", "--rounds", "1", "--seconds", seconds, "--connections", "4", "--workers", "1",
        "--generator", "own", "--dir", str(tmp_path), "--out", str(tmp_path / "results"), *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    latest = tmp_path / "results" / "latest"
    return orjson.loads(latest.with_suffix(".json").read_bytes()), latest.with_suffix(".md").read_text()


def test_a_comparison_runs_both_sides_and_its_table_has_every_arm(tmp_path):
    report, text = bench(tmp_path, "--only", "3")

    assert report["machine"]["cpu"]
    (comparison,) = report["comparisons"]
    trials = comparison["trials"]
    assert {"sluice", "engine directly", "bare aiohttp + orjson"} <= trials.keys()
    # Not everybody has a server of 2018; who has not is told so.
    assert ("ClickHouse 18.16 directly" in trials) != ("ClickHouse 18.16 directly" in comparison["skipped"])
    for arm in trials.keys() - {"bare aiohttp + orjson"}:
        (trial,) = trials[arm]
        assert trial["landed_rows"] >= trial["answered_rows"] > 0
        assert trial["cpu_us_per_row.engine"] > 0
        assert trial["peak_mb.engine"] > 0
    assert trials["sluice"][0]["cpu_us_per_row.worker"] > 0
    assert all(ratio["median"] > 0 for ratio in comparison["ratios"])
    assert "| engine directly |" in text
    assert "sluice / engine directly = **" in text
    assert "aim >= 1 000 000: " in text


def test_what_is_not_installed_is_skipped_with_a_sentence(tmp_path):
    report, text = bench(tmp_path, "--only", "1", "--arms", "nginx 204,bare aiohttp")

    (comparison,) = report["comparisons"]
    assert comparison["trials"]["bare aiohttp"][0]["requests_per_s"] > 0
    if "nginx 204" in comparison["skipped"]:
        assert "* nginx 204: skipped, nginx is not installed" in text
    else:
        (trial,) = comparison["trials"]["nginx 204"]
        assert trial["requests_per_s"] > 0
        assert trial["errors"] == trial["refused"] == 0


def test_an_aim_that_needs_more_cores_is_not_judged_on_few(tmp_path):
    report, text = bench(tmp_path, "--only", "6")

    (comparison,) = report["comparisons"]
    assert comparison["trials"].keys() == {"1 worker", "2 workers"}
    is_large = len(os.sched_getaffinity(0)) >= 4
    assert (comparison["ratios"][0]["verdict"] != "") == is_large
    assert ("where cores allow" in text) != is_large


def test_tokens_made_behind_the_back_of_a_gateway_let_events_in(tmp_path):
    report, _ = bench(tmp_path, "--only", "7", "--sources", "1", "--tokens", "50", "--arms", "50 tokens in use")

    (trial,) = report["comparisons"][-1]["trials"]["50 tokens in use"]
    assert trial["answered_rows"] > 0
    assert trial["refused"] == 0
    assert trial["authentication_first_us"] > trial["authentication_us"] > 0


def test_a_soak_tells_how_memory_grows(tmp_path):
    report, _ = bench(tmp_path, "--only", "9", "--arms", "soak", "--soak-minutes", "0.02")

    (trial,) = report["comparisons"][0]["trials"]["soak"]
    assert trial["idle_mb.worker"] > 0
    assert "slope_mb_per_hour.worker" in trial


def test_a_curve_has_the_points_that_were_asked_for(tmp_path):
    done = run(
        "loadtest/curves.py", "--seconds", "0.3", "--workers", "1", "--generator", "own", "--dir", str(tmp_path),
        "--out", str(tmp_path), "--no-draw", "--body-sizes", "10", "--connections", "1,2", "--sources", "",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    curves = orjson.loads((tmp_path / "curves.json").read_bytes())["curves"]
    assert [(point["side"], point["x"]) for point in curves["body_sizes"]] == [("sluice", 10), ("engine directly", 10)]
    assert [point["x"] for point in curves["connections"]] == [1, 2]
    assert all(point["landed_rows_per_s"] > 0 for points in curves.values() for point in points)


@pytest.mark.parametrize("script", ["bench.py", "curves.py", "load.py", "flame.py", "generator.py", "baselines.py"])
def test_a_script_says_what_it_does(script):
    done = run(f"loadtest/{script}", "--help")

    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_a_story_that_does_not_exist_is_refused_before_anything_starts():
    done = run("loadtest/load.py", "no-such-story")

    assert done.returncode == 2
    assert "steady" in done.stderr
