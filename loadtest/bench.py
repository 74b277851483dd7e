"""Bench: both sides of every comparison, on one machine, in turn, several rounds.

    python loadtest/bench.py                             everything, three rounds: about an hour
    python loadtest/bench.py --only 1,3 --rounds 3 --seconds 5
    python loadtest/bench.py --only 9 --arms soak --rounds 1 --soak-minutes 60
    python loadtest/bench.py --list

Every trial starts its own processes on an empty directory, on free ports of 127.0.0.1. The tables go to loadtest/results/
as Markdown and JSON. See loadtest/README.md for what the numbers mean.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from comparisons import COMPARISONS, Comparison
from generator import choose
from measure import Bench, Trial
from processes import Failed, Skipped
from report import Outcome, machine, render, write

_RESULTS = Path(__file__).parent / "results"


def compare(comparison: Comparison, bench: Bench, rounds: int, arms_wanted: set[str]) -> Outcome:
    """Run the arms of `comparison` in turn: A B A B."""
    outcome = Outcome(comparison)
    print(f"\n{comparison.number}. {comparison.title}", flush=True)
    try:
        with comparison.open(bench) as arms:
            for number in range(rounds):
                for name, run in arms.items():
                    if name in outcome.skipped or (arms_wanted and name not in arms_wanted):
                        continue
                    try:
                        trial = _attempt(run)
                    except Skipped as reason:
                        outcome.skipped[name] = str(reason)
                        print(f"   {name}: skipped, {reason}", flush=True)
                        continue
                    outcome.trials.setdefault(name, []).append(trial)
                    print(f"   round {number + 1}, {name}: {_brief(trial)}", flush=True)
    except (Failed, RuntimeError, OSError) as error:
        outcome.failure = str(error)
        print(f"   CUT SHORT: {error}", file=sys.stderr, flush=True)
    return outcome


def _attempt(run: Callable[[], Trial]) -> Trial:
    return {name: round(value, 4) for name, value in run().items()}


def _brief(trial: Trial) -> str:
    shown = ("landed_rows_per_s", "requests_per_s", "p99_ms", "cpu_us_per_row.all", "cpu_us_per_row.worker",
             "peak_mb.worker", "visible_p99_ms", "authentication_us",
             "peak_over_idle_mb.worker", "slope_mb_per_hour.worker", "ready_seconds")  # fmt: skip
    return ", ".join(f"{name} {trial[name]:,.1f}" for name in shown if name in trial)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="numbers of comparisons, with commas; default: all")
    arguments.add_argument("--arms", default="", help="names of arms, with commas; default: all")
    arguments.add_argument("--list", action="store_true", help="list the comparisons and end")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=10, help="of load in each trial")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the comparisons on all cores")
    arguments.add_argument("--sources", default="1,100,1000", help="how many data sources comparison 7 uses")
    arguments.add_argument("--tokens", type=int, default=100_000, help="how many tokens comparison 7 makes")
    arguments.add_argument("--soak-minutes", type=float, default=0, help="comparison 9 also watches memory for so long")
    arguments.add_argument("--generator", choices=["auto", "wrk", "own"], default="auto")
    arguments.add_argument("--dir", type=Path, help="where data is written while measuring; must be a real disk")
    arguments.add_argument("--out", type=Path, default=_RESULTS)
    given = arguments.parse_args()
    if given.list:
        print("\n".join(f"{each.number:>3}  {each.title}" for each in COMPARISONS))
        return 0
    wanted = {int(number) for number in given.only.split(",") if number}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    with TemporaryDirectory(prefix="sluice-bench-", dir=given.dir) as directory:
        bench = Bench(
            Path(directory), given.seconds, given.connections, choose(given.generator, given.seconds), given.workers,
            tuple(int(number) for number in given.sources.split(",")), given.tokens, given.soak_minutes,
        )  # fmt: skip
        here = machine(bench.directory)
        chosen = [each for each in COMPARISONS if not wanted or each.number in wanted]
        arms = {name.strip() for name in given.arms.split(",") if name.strip()}
        outcomes = [compare(each, replace(bench), given.rounds, arms) for each in chosen]
    settings = {
        "rounds": given.rounds, "seconds": given.seconds, "connections": given.connections, "workers": given.workers,
        "generator": bench.generator,
    }  # fmt: skip
    path = write(given.out, here, settings, outcomes)
    print("\n" + render(here, settings, outcomes))
    print(f"Written to {path} and {path.with_suffix('.json').name}")
    return 1 if any(each.failure for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
