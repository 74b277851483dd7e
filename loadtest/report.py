"""Report: trials as JSON, for machines, and as Markdown, for people; and the machine they ran on."""

import operator
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median

import orjson
from comparisons import Comparison, Ratio
from measure import Trial

_ROOT = Path(__file__).resolve().parents[1]
_SIGNS = {">=": operator.ge, "<=": operator.le, "<": operator.lt}
_PACKAGES = ("aiohttp", "uvloop", "msgspec", "orjson", "pyarrow", "clickhouse-connect", "chdb", "chdb-core")

# What the table shows, in this order, if at least one arm has it.
_COLUMNS = {
    "landed_rows_per_s": "landed rows/s",
    "landed_cells_per_s": "landed cells/s",
    "answered_rows_per_s": "answered rows/s",
    "requests_per_s": "requests/s",
    "body_mb_per_s": "body MB/s",
    "p50_ms": "p50 ms",
    "p90_ms": "p90 ms",
    "p99_ms": "p99 ms",
    "sync_ms": "a sync of the log, ms",
    "requests_per_sync": "requests a sync",
    "cpu_us_per_row.all": "CPU µs/row, all but generator",
    "cpu_us_per_row.worker": "workers",
    "cpu_us_per_row.engine": "engine",
    "cpu_us_per_row.supervisor": "supervisor",
    "cpu_us_per_row.jobs": "jobs",
    "cpu_us_per_row.generator": "generator",
    "idle_mb.worker": "idle MB, worker",
    "peak_mb.worker": "peak MB, worker",
    "peak_over_idle_mb.worker": "peak over idle MB, worker",
    "half_mb.worker": "MB after half the time, worker",
    "end_mb.worker": "MB at the end, worker",
    "slope_mb_per_hour.worker": "growth in the second half, MB/h",
    "bound_mb.worker": "buffer_memory_bytes_max, MB",
    "peak_mb.engine": "peak MB, engine",
    "probes": "probes",
    "visible_p50_ms": "visible p50 ms",
    "visible_p99_ms": "visible p99 ms",
    "visible_p99_over_age_ms": "visible p99 less batch age, ms",
    "visible_max_ms": "visible max ms",
    "authentication_us": "who shows a known token, µs",
    "authentication_first_us": "the first time, µs",
    "ready_seconds": "ready s",
    "tail_seconds": "last landing after load, s",
    "refused": "refused",
    "errors": "errors",
    "others_cpu_share": "others' CPU, cores",
}


@dataclass(slots=True)
class Outcome:
    """The trials of one comparison: arm → one trial a round; what could not run; and why it was cut short, if it was."""

    comparison: Comparison
    trials: dict[str, list[Trial]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # arm → why
    failure: str = ""


def machine(directory: Path) -> dict[str, str]:
    """Describe where this ran."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": f"{cpus[0].partition(':')[2].strip() if cpus else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": _output("stat", "-f", "-c", "%T", str(directory)),
        "sync of 25 kB before the run": _disk(directory),
        "load average": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "generator": _output("wrk", "--version").partition("Copyright")[0].strip() or "own (asyncio)",
    }


def _disk(directory: Path) -> str:
    """Say how long the disk takes to make 64 one-row events durable, over 200 times."""
    took = []
    with tempfile.TemporaryFile(dir=directory) as file:
        os.posix_fallocate(file.fileno(), 0, 200 * 25_000)
        for number in range(200):
            os.pwrite(file.fileno(), b"x" * 25_000, number * 25_000)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return f"p50 {took[100]:.2f} ms, p99 {took[198]:.2f} ms"


def write(directory: Path, machine: dict[str, str], settings: dict[str, object], outcomes: Sequence[Outcome]) -> Path:
    """Write `<date>.json` and `<date>.md`, and both as `latest`; return the Markdown's path."""
    directory.mkdir(parents=True, exist_ok=True)
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    data = {
        "machine": machine,
        "settings": settings,
        "comparisons": [
            {
                "number": each.comparison.number,
                "title": each.comparison.title,
                "trials": each.trials,
                "ratios": [
                    asdict(ratio) | found | {"verdict": _verdict(ratio, found["median"])}
                    for ratio in each.comparison.ratios
                    if (found := _ratio(ratio, each))
                ],
                "skipped": each.skipped,
                "failure": each.failure,
            }
            for each in outcomes
        ],
    }
    text = render(machine, settings, outcomes)
    for stem in (name, "latest"):
        (directory / f"{stem}.json").write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))
        (directory / f"{stem}.md").write_text(text)
    return directory / f"{name}.md"


def render(machine: dict[str, str], settings: dict[str, object], outcomes: Sequence[Outcome]) -> str:
    """Return the report as Markdown. Numbers are medians of the rounds; a ratio is made round by round."""
    parts = ["# Benchmark", ""]
    parts += [f"* {name}: {value}" for name, value in machine.items()]
    parts += ["", ", ".join(f"{name} {value}" for name, value in settings.items()) + ". Medians of the rounds.", ""]
    for each in outcomes:
        parts += [f"## {each.comparison.number}. {each.comparison.title}", "", *_table(each), ""]
        parts += [f"* {_say(ratio, each)}" for ratio in each.comparison.ratios if _ratio(ratio, each)]
        parts += [f"* {arm}: skipped, {why}" for arm, why in each.skipped.items()]
        parts += [f"* **Cut short:** {each.failure}"] if each.failure else []
        parts.append("")
    return "\n".join(parts)


def _table(outcome: Outcome) -> list[str]:
    names = {name for trials in outcome.trials.values() for trial in trials for name in trial}
    columns = [name for name in _COLUMNS if name in names]
    lines = [f"| | {' | '.join(_COLUMNS[name] for name in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for arm, trials in outcome.trials.items():
        cells = []
        for name in columns:
            values = [trial[name] for trial in trials if name in trial]
            cells.append(_number(median(values)) if values else "")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def _ratio(ratio: Ratio, outcome: Outcome) -> dict[str, float]:
    """Return median, least and greatest of the ratio over the rounds; {} if there is none."""
    values = [trial[ratio.metric] for trial in outcome.trials.get(ratio.over, []) if ratio.metric in trial]
    if ratio.under:
        below = [trial.get(ratio.metric, 0.0) for trial in outcome.trials.get(ratio.under, [])]
        values = [value / under for value, under in zip(values, below, strict=False) if under]
    return {"median": median(values), "least": min(values), "greatest": max(values)} if values else {}


def _verdict(ratio: Ratio, value: float) -> str:
    """Say whether the aim is met; '' if there is none, or this machine is too small to tell."""
    if not ratio.aim or _cores() < ratio.cores_min:
        return ""
    sign, _, bound = ratio.aim.partition(" ")
    return "met" if _SIGNS[sign](value, float(bound)) else "NOT met"


def _say(ratio: Ratio, outcome: Outcome) -> str:
    values = _ratio(ratio, outcome)
    found = {name: _number(value) for name, value in values.items()}
    what = _COLUMNS[ratio.metric]
    if ratio.metric.startswith("cpu_us_per_row.") and not what.startswith("CPU"):
        what = f"CPU µs/row, {what}"
    over = f"{ratio.over} / {ratio.under}" if ratio.under else ratio.over
    return f"{what}: {over} = **{found['median']}** ({found['least']} to {found['greatest']}{_aim(ratio, values['median'])})"


def _aim(ratio: Ratio, value: float) -> str:
    if not ratio.aim:
        return ""
    sign, _, bound = ratio.aim.partition(" ")
    aim = f"; aim {sign} {_number(float(bound))}"
    if _cores() < ratio.cores_min:
        return f"{aim} where cores allow: {_cores()} cores tell nothing, it takes {ratio.cores_min}"
    return f"{aim}: {_verdict(ratio, value)}"


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    commit = _output("git", "-C", str(_ROOT), "rev-parse", "--short", "HEAD")
    changed = _output("git", "--no-optional-locks", "-C", str(_ROOT), "status", "--porcelain")
    return (commit or "unknown") + (" with uncommitted changes" if changed else "")


def _output(*command: str) -> str:
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
