"""Layout: where things lie in the data directory, who a worker is, and the signing secret.

data_dir/
├── lock                 held by the processes of one run; names the supervisor
├── secret               signs the tokens, mode 0600
├── place                names this directory, among others that share a database
├── metadata.db          data sources, tokens, pipes, jobs
├── metadata.db-news     by which workers hear of changes
├── log/worker-<i>/      the write-ahead log of worker i
├── uploads/             files of imports, until these have ended
├── engine/              the tables of the embedded engine
├── restoring/           what a restore unpacks; it was not finished as long as this is there
├── run/backup.lock      held by who takes a backup; run/backup-*: what is put aside for it
├── run/worker-<i>.lock  held by the i-th `sluice worker` that uses this directory
├── run/limits           what was taken of rate limits, by the workers of this run
└── run/metrics/         metrics of the processes of this run
"""

import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from gateway.config.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """Which worker of how many this process is, and what its supervisor told it."""

    role: Literal["worker", "jobs", "standalone"] = "worker"  # answers HTTP; does jobs; does them without a supervisor
    index: int = 0
    count: int = 1
    generation: int = 0  # how often this worker was started before, in this run
    clickhouse_url: str = field(default="", repr=False)  # always set, with user and password
    exit_when_stdin_closes: bool = False
    metrics_directory: Path | None = None  # None: no other process shares the port, so nothing to merge

    @property
    def name(self) -> str:
        """Return what logs and metrics call it."""
        return f"{self.role}-{self.index}"


def with_secret(settings: Settings) -> Settings:
    """Return `settings` with the signing secret of the data directory, made on first use, unless one is set.

    Processes that start together agree: the file appears whole, and the first one wins.

    Raises:
        OSError: it can be neither read nor made.
    """
    if settings.secret:
        return settings
    return replace(settings, secret=_made_once(settings.data_dir / "secret", secrets.token_urlsafe(48)))


def place_of(data_dir: Path) -> str:
    """Return the name of `data_dir`, made on first use: no other directory has it, and a move does not change it.

    Raises:
        OSError: it can be neither read nor made.
    """
    return _made_once(data_dir / "place", secrets.token_hex(8))


def _made_once(path: Path, text: str) -> str:
    """Return what is in the file `path`; `text` if it is not there yet, and then it is."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(descriptor)
        try:
            path.hardlink_to(mine)
        except FileExistsError:
            pass
        mine.unlink()
    return path.read_text(encoding="ascii").strip()


def log_directory(data_dir: Path, index: int) -> Path:
    """Return where worker `index` keeps its log."""
    return data_dir / "log" / f"worker-{index}"


def orphan_directories(data_dir: Path, index: int, count: int) -> list[Path]:
    """Return the logs that worker `index` of `count` adopts: those of workers there were once, when N was larger."""
    names = (path.name.removeprefix("worker-") for path in (data_dir / "log").glob("worker-*") if path.is_dir())
    found = (int(name) for name in names if name.isdecimal())
    return [log_directory(data_dir, other) for other in sorted(found) if other >= count and other % count == index]


def uploads_directory(data_dir: Path) -> Path:
    """Return where the files of imports are, as long as they are needed."""
    return data_dir / "uploads"


def metrics_directory(data_dir: Path) -> Path:
    """Return where the processes of one run keep their metrics for each other."""
    return data_dir / "run" / "metrics"


def restoring_directory(data_dir: Path) -> Path:
    """Return where a restore unpacks; while it is there, `data_dir` is no node's."""
    return data_dir / "restoring"


def limits_file(data_dir: Path) -> Path:
    """Return where the workers of one run count for rate limits."""
    return data_dir / "run" / "limits"


def engine_directory(data_dir: Path) -> Path:
    """Return where the embedded engine keeps its tables."""
    return data_dir / "engine"
