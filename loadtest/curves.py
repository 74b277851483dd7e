"""Curves: how the gateway grows, with the size of bodies, with connections, and with data sources.

    python loadtest/curves.py --seconds 5 --out docs/            measures, and draws what was measured: about six minutes
    loadtest/.venv/bin/python loadtest/draw_curves.py docs/curves.json

Writes curves.json, and a PNG for each curve. Needs matplotlib, here or in loadtest/.venv (loadtest/requirements.txt).
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import workload
from generator import choose
from measure import Bench, Trial, run_load, stack
from processes import Failed
from report import machine
from throughput import requests_of, to_engine, to_gateway

_HERE = Path(__file__).parent
Point = dict[str, object]


def body_sizes(bench: Bench, sizes: Iterable[int]) -> Iterator[tuple[str, int, Trial]]:
    """Both sides at each size, each on a fresh engine."""
    for rows in sizes:
        yield "sluice", rows, to_gateway(bench, rows)
        yield "engine directly", rows, to_engine(bench, rows)


def connections(bench: Bench, numbers: Iterable[int]) -> Iterator[tuple[str, int, Trial]]:
    """One-row bodies, all at one gateway."""
    with stack(bench, "--workers", str(bench.workers)) as made:
        table = made.gateway.create("events", workload.SCHEMA)
        requests = requests_of(bench, [made.gateway.target("events")], 1)
        made.warm_up("events", workload.bodies(1, 1)[0])
        run = partial(run_load, bench, made.gateway, requests, pids=made.pids, count=made.counter([table]))
        for many in numbers:
            yield "sluice", many, run(connections=many)


def sources(bench: Bench, numbers: Iterable[int]) -> Iterator[tuple[str, int, Trial]]:
    """Bodies of 100 rows, spread over data sources of one gateway, which it makes as they are needed."""
    with stack(bench, "--workers", str(bench.workers)) as made:
        names: list[str] = []
        ids: list[str] = []
        for many in numbers:
            fresh = [f"events_{n}" for n in range(len(names), many)]
            names += fresh
            ids += [made.gateway.create(name, workload.SCHEMA) for name in fresh]
            made.warm_up(names[0], workload.bodies(1, 1)[0], *fresh)
            requests = requests_of(bench, [made.gateway.target(name) for name in names], 100)
            yield "sluice", many, run_load(bench, made.gateway, requests, pids=made.pids, count=made.counter(ids))


_CURVES: dict[str, tuple[Callable[..., Iterator[tuple[str, int, Trial]]], str]] = {
    "body_sizes": (body_sizes, "1,10,100,1000,10000"),
    "connections": (connections, "1,4,16,64,256"),
    "sources": (sources, "1,10,100,1000"),
}


def measure(bench: Bench, numbers: dict[str, list[int]]) -> dict[str, list[Point]]:
    """Return the points of each curve, in the order in which they were measured."""
    found: dict[str, list[Point]] = {}
    for name, (curve, _) in _CURVES.items():
        found[name] = []
        print(f"\n{name}", flush=True)
        for side, x, trial in curve(bench, numbers[name]) if numbers[name] else ():
            found[name].append({"side": side, "x": x, **{key: round(value, 4) for key, value in trial.items()}})
            print(f"   {x:>6}, {side}: {trial['landed_rows_per_s']:,.0f} rows/s, "
                  f"{trial['requests_per_s']:,.0f} requests/s, {trial['cpu_us_per_row.all']:.2f} CPU µs/row", flush=True)  # fmt: skip
    return found


def interpreter() -> str:
    """Return a Python that has matplotlib.

    Raises:
        Failed: there is none; says how to get one.
    """
    if importlib.util.find_spec("matplotlib"):
        return sys.executable
    beside = _HERE / ".venv/bin/python"
    if beside.exists():
        return str(beside)
    raise Failed("matplotlib is not installed. Its environment:\n"
                 "  python -m venv loadtest/.venv && loadtest/.venv/bin/pip install -r loadtest/requirements.txt")  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=5, help="of load at each point")
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--generator", choices=["auto", "wrk", "own"], default="auto")
    for name, (_, default) in _CURVES.items():
        arguments.add_argument(
            f"--{name.replace('_', '-')}", default=default, help="numbers, with commas; '': no such curve"
        )
    arguments.add_argument("--dir", type=Path, help="where data is written while measuring; must be a real disk")
    arguments.add_argument("--no-draw", action="store_true", help="only the JSON")
    arguments.add_argument("--out", type=Path, default=_HERE / "results")
    given = arguments.parse_args()
    numbers = {name: [int(x) for x in getattr(given, name).split(",") if x] for name in _CURVES}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        python = "" if given.no_draw else interpreter()
        with TemporaryDirectory(prefix="sluice-curves-", dir=given.dir) as directory:
            kind = choose(given.generator, given.seconds)
            bench = Bench(Path(directory), given.seconds, generator=kind, workers=given.workers)
            data = {
                "machine": machine(bench.directory),
                "settings": {
                    "seconds": given.seconds, "connections": bench.connections, "workers": given.workers,
                    "generator": bench.generator,
                },
                "curves": measure(bench, numbers),
            }  # fmt: skip
    except (Failed, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "curves.json"
    path.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if given.no_draw:
        return 0
    return subprocess.run([python, str(_HERE / "draw_curves.py"), str(path)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
