"""Flame: where the time of a worker goes under load, as a flame graph and as a table.

    python loadtest/flame.py --rows 1                   one-row bodies
    python loadtest/flame.py --rows 1000 --native       with the frames of C extensions

Needs py-spy (loadtest/requirements.txt), and on most machines root, because it reads another process's memory. Writes
loadtest/results/flame-<rows>.svg and .md: the share of samples in each function itself, and in all that it called.
Samples are of threads that run (`--gil`: only of those that hold the interpreter's lock), so waiting does not count.
"""

import argparse
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import workload
from generator import Generator, choose
from measure import Bench, stack
from processes import Failed, cpu_seconds

_RESULTS = Path(__file__).parent / "results"


def record(tool: str, pid: int, seconds: float, out: Path, form: str, extra: list[str]) -> None:
    command = [tool, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), "--rate", "200",
               "--format", form, "--output", str(out), "--nonblocking", *extra]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode or not out.exists():
        raise Failed(f"py-spy failed: {done.stderr[-2000:]}")


def table(raw: str, top: int) -> str:
    """Return the functions with the most samples, from py-spy's raw format: `frame;frame;frame count` a line."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack_, _, number = line.rpartition(" ")
        frames = stack_.split(";")
        count = int(number)
        total += count
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    lines = [f"{total} samples", ""]
    for title, found in (("in itself", own), ("with what it calls", whole)):
        lines += [f"| {title} | share |", "|---|---|"]
        lines += [f"| `{frame}` | {count / max(total, 1):.1%} |" for frame, count in found.most_common(top)]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1, help="rows of a body")
    arguments.add_argument("--seconds", type=float, default=10, help="of each of the two recordings")
    arguments.add_argument("--connections", type=int, default=64)
    arguments.add_argument("--generator", choices=["auto", "wrk", "own"], default="auto")
    arguments.add_argument("--native", action="store_true", help="frames of C extensions too")
    arguments.add_argument("--gil", action="store_true", help="only threads that hold the interpreter's lock")
    arguments.add_argument("--functions", action="store_true", help="functions, not lines")
    arguments.add_argument("--top", type=int, default=25)
    arguments.add_argument("--out", type=Path, default=_RESULTS)
    given = arguments.parse_args()
    beside = Path(sys.executable).with_name("py-spy")
    tool = shutil.which("py-spy") or (str(beside) if beside.exists() else "")
    tool = tool or str(Path(__file__).parent / ".venv/bin/py-spy")
    extra = [flag for flag in ("native", "gil") if getattr(given, flag)]
    extra = [f"--{flag}" for flag in extra] + (["--function"] if given.functions else [])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="sluice-flame-") as directory:
        bench = Bench(Path(directory), given.seconds, given.connections, choose(given.generator, given.seconds), 1)
        with stack(bench, "--workers", "1") as made:
            made.gateway.create("events", workload.SCHEMA)
            bodies = workload.bodies(given.rows, workload.body_count(given.rows))
            target = made.gateway.target("events")
            requests = workload.write_requests(bench.directory / "requests.bin", [target], bodies, given.rows)
            made.warm_up("events", workload.bodies(1, 1)[0])
            worker = made.gateway.pids()["worker"][0]
            load = Generator(
                bench.generator, made.gateway.port, requests.path, bench.connections, given.seconds * 2 + 2
            )
            raw = Path(directory) / "raw"
            try:
                before = cpu_seconds(worker)
                record(tool, worker, given.seconds, raw, "raw", extra)
                used = cpu_seconds(worker) - before
                record(tool, worker, given.seconds, given.out / f"flame-{given.rows}.svg", "flamegraph", extra)
                result = load.wait()
            finally:
                load.kill()
        text = (
            f"# A worker under bodies of {given.rows} rows\n\n{result.requests / result.seconds:,.0f} requests/s, "
            f"{used / given.seconds:.2f} cores of the worker, refused {result.refused}; "
            f"{table(raw.read_text(errors='replace'), given.top)}"
        )
    print(text)
    (given.out / f"flame-{given.rows}.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
