"""Command line: `sluice serve`, and what an operator needs around it.

Exit codes: 0 done, or a clean stop; 1 it failed; 2 the settings or the command are wrong, nothing was started.
Options of settings are made from the table in `gateway.config`. What a command needs is imported when it runs:
`version` loads no engine.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway import __version__
from gateway.commands import EXIT_FAILED, complain, say
from gateway.commands.backup_options import add_backup
from gateway.commands.parsing import add_command, add_groups, refuse_unknown
from gateway.config import (
    SPECS,
    WORKER_SETTINGS,
    ConfigurationError,
    Settings,
    WorkerIdentity,
    as_toml,
    clickhouse_address,
    engine_directory,
    load,
    with_secret,
)
from gateway.core.clock import SystemClock
from gateway.core.errors import Unavailable, reason_of
from gateway.core.parent import say_ready
from gateway.core.process import EXIT_CONFIGURATION, hide, preload
from gateway.telemetry import metrics
from gateway.telemetry.logs import LoggingOptions, configure, get_logger

_logger = get_logger(__name__)

# A shorter one is not looked for in the log: it would be found inside of words.
_SECRET_CHARACTERS_MIN: Final = 6

_EXAMPLES: Final = """\
examples:
  sluice serve                                          all in one, data in ./sluice-data
  sluice serve --port 8080 --workers 4 --host 0.0.0.0
  sluice serve --clickhouse-url http://default:secret@db:8123/
  sluice worker --clickhouse-url http://…               one more process that does imports and other jobs
  SLUICE_CONFIG=/etc/sluice.toml sluice check-config    what would be used, and from where
  sluice log verify ./sluice-data                       can everything in the log be read?
  sluice log adopt /mnt/lost-node                       land what a lost node still owes
  sluice backup /backups                                all of a node in one file, while it runs
  sluice restore --data-dir ./new /backups/FILE.tar     … and back, into an empty directory

exit codes: 0 done; 1 it failed; 2 the settings or the command are wrong"""

_CLICKHOUSE_SETTINGS: Final = ("clickhouse_url", "clickhouse_user", "clickhouse_password", "engine_memory_bytes_max")
_ENGINE_SETTINGS: Final = ("data_dir", *_CLICKHOUSE_SETTINGS, "log_level", "log_format")
_HEALTH_SETTINGS: Final = ("host", "port", "tls_certificate", "tls_key")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["child"]:
        return _child("".join(arguments[1:]))
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return EXIT_CONFIGURATION
    found, unknown = parser.parse_known_args(arguments)
    options = vars(found)
    command: Callable[[Mapping[str, str]], int] = options.pop("run")
    refuse_unknown(options.pop("parser"), unknown)
    try:
        return command(options)
    except ConfigurationError as error:
        complain("the settings are wrong:\n" + "\n".join(f"  {problem}" for problem in error.problems))
        return EXIT_CONFIGURATION
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stderr.close()
        return EXIT_FAILED


def _serve(options: Mapping[str, str]) -> int:
    settings = load(options).settings
    return _serve_alone(settings) if settings.role == "api" else _serve_all(settings)


def _serve_all(settings: Settings) -> int:
    """Be the supervisor."""
    from gateway.supervisor import DirectoryTaken, NodeRefused, PortTaken  # noqa: PLC0415
    from gateway.supervisor.run import supervise  # noqa: PLC0415

    _configure_logs(settings, role="supervisor")
    try:
        return asyncio.run(supervise(settings, say))
    except (DirectoryTaken, NodeRefused, PortTaken, OSError) as error:
        complain(_sentence(error))
        return EXIT_CONFIGURATION if isinstance(error, NodeRefused) else EXIT_FAILED


def _serve_alone(settings: Settings) -> int:
    """Be the only worker: no supervisor, no engine."""
    from gateway.supervisor import DirectoryTaken, PortTaken, claim_directory, claim_port  # noqa: PLC0415

    try:
        left_over_seconds_max = settings.shutdown_delay_seconds + settings.drain_seconds_max
        asyncio.run(claim_directory(settings.data_dir, SystemClock(), left_over_seconds_max))
        with claim_port(settings.host, settings.port) as held:
            settings = with_secret(replace(settings, port=held.getsockname()[1]))
            return _run_worker(settings, WorkerIdentity(clickhouse_url=clickhouse_address(settings)))
    except (DirectoryTaken, PortTaken, OSError) as error:
        complain(_sentence(error))
        return EXIT_FAILED


def _worker(options: Mapping[str, str]) -> int:
    """Do jobs, beside a `sluice serve` elsewhere or of this data directory."""
    from gateway.supervisor.run import standalone  # noqa: PLC0415

    settings = load(options).settings
    if not settings.clickhouse_url:
        raise ConfigurationError(
            "clickhouse_url must say where ClickHouse answers: http://user:password@127.0.0.1:8123/. "
            "With the embedded engine `sluice serve` does the jobs itself"
        )
    try:
        settings = with_secret(settings)
        identity = standalone(settings)
    except OSError as error:
        complain(_sentence(error))
        return EXIT_FAILED
    return _run_job_worker(settings, identity)


def _sentence(error: Exception) -> str:
    """Return why nothing was started, for a person."""
    said = reason_of(error)
    is_plain = isinstance(error, OSError)
    return f"{said}. --data-dir (SLUICE_DATA_DIR) must be a directory that this user may write to" if is_plain else said


def _child(name: str) -> int:
    """Be what the supervisor says on standard input, and have the code for it when it says so; `name` tells which."""
    from gateway.supervisor.orders import Orders  # noqa: PLC0415

    if name == "engine":
        preload("gateway.engine.server")
    else:
        _load("gateway.worker" if name.startswith("jobs") else "gateway.server")
    line = sys.stdin.buffer.readline()
    if not line:
        complain("this command is started by the supervisor, which tells it what to do: use `sluice serve`")
        return EXIT_FAILED
    orders = Orders.decode(line)
    if orders.identity is not None:
        run = _run_job_worker if orders.identity.role == "jobs" else _run_worker
        return run(orders.settings, orders.identity)
    return _run_engine(orders.settings, is_supervised=True)


def _run_worker(settings: Settings, identity: WorkerIdentity) -> int:
    """Be the worker `identity`, which answers HTTP."""
    _load("gateway.server")
    _configure_worker(settings, identity)
    metrics.log_policy_info.labels(settings.log_sync).set(1)

    def run() -> int:
        from gateway.server import run_worker  # noqa: PLC0415

        return run_worker(settings, identity)

    return _guarded(run)


def _run_job_worker(settings: Settings, identity: WorkerIdentity) -> int:
    """Be the worker `identity`, which does jobs."""
    _load("gateway.worker")
    _configure_worker(settings, identity)

    def run() -> int:
        from gateway.worker import run_job_worker  # noqa: PLC0415

        return run_job_worker(settings, identity)

    return _guarded(run)


def _load(module: str) -> None:
    """Load the code of a worker."""
    hide("pandas", "numpy")
    preload(module)


def _configure_worker(settings: Settings, identity: WorkerIdentity) -> None:
    _configure_logs(settings, identity.clickhouse_url, role=identity.role, worker=identity.index)
    try:
        metrics.start(identity.metrics_directory, identity.name)
    except OSError as error:  # a full disk costs the metrics, not the start: draining may be what frees it
        _logger.warning("metrics.not_shared", reason=str(error))


def _guarded(run: Callable[[], int]) -> int:
    """Return what `run` returns; what it raises is logged, for Python's own last words would not hide secrets."""
    try:
        return run()
    except ConfigurationError as error:
        _logger.error("process.refused", reason=str(error))  # noqa: TRY400  it is said whole
        return EXIT_CONFIGURATION
    except Unavailable as error:
        _logger.error("process.failed", reason=reason_of(error))  # noqa: TRY400
        return EXIT_FAILED
    except Exception:
        _logger.exception("process.failed")
        return EXIT_FAILED


def _engine(options: Mapping[str, str]) -> int:
    settings = load(options).settings
    if not settings.clickhouse_url:
        raise ConfigurationError(
            "clickhouse_url must say where the engine listens: http://user:password@127.0.0.1:8123/"
        )
    if not urlsplit(clickhouse_address(settings)).password:
        raise ConfigurationError("clickhouse_password must be set: the engine does what anybody says who knows it")
    return _run_engine(settings, is_supervised=False)


def _run_engine(settings: Settings, *, is_supervised: bool) -> int:
    """Run the engine where `clickhouse_url` says."""
    from gateway.engine.options import EngineOptions  # noqa: PLC0415
    from gateway.engine.server import run  # noqa: PLC0415

    _configure_logs(settings, role="engine")
    url = urlsplit(clickhouse_address(settings))
    options = EngineOptions(
        data_dir=engine_directory(settings.data_dir),
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        host=url.hostname or "",
        port=8123 if url.port is None else url.port,
        memory_bytes_max=settings.engine_memory_bytes_max,
        exit_when_stdin_closes=is_supervised,
    )
    ready = say_ready if is_supervised else lambda port: say(f"The engine answers at {options.host}:{port}\n")
    return _guarded(lambda: run(options, ready))


def _health(options: Mapping[str, str]) -> int:
    from gateway.commands.health import ask  # noqa: PLC0415

    return ask(load(options).settings, "/health")


def _check_config(options: Mapping[str, str]) -> int:
    """Print the settings as TOML that could be read back, but for the secrets."""
    loaded = load(options)
    lines = [f"{as_toml(loaded.settings, name):<60}  # {loaded.sources[name]}" for name in SPECS]
    say("\n".join(lines) + "\n")
    return 0


def _version(_options: Mapping[str, str]) -> int:
    say(f"sluice {__version__}\n")
    return 0


def _configure_logs(settings: Settings, *secrets: str, **bound: str | int) -> None:
    """Send this process's log to stderr; every secret of the settings is known to it by heart."""
    known = [getattr(settings, name) for name, spec in SPECS.items() if spec.secret]
    passwords = [unquote(urlsplit(text).password or "") for text in (*known, *secrets) if "://" in text]
    whole = [text for text in known if "://" not in text]
    configure(
        LoggingOptions(
            level=settings.log_level,
            format=settings.log_format,
            bound=bound,
            secrets=tuple(secret for secret in (*whole, *passwords) if len(secret) >= _SECRET_CHARACTERS_MIN),
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice",
        description="Event-ingestion gateway and data API for ClickHouse, wire-compatible with Tinybird.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"sluice {__version__}", help="show the version and exit"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "serve", _serve, "Serve: supervisor, embedded engine and workers.", SPECS)
    add_command(commands, "worker", _worker, "Do jobs: imports, deletes, copies. As many as you like.", WORKER_SETTINGS)
    add_command(commands, "engine", _engine, "Run the embedded engine alone, for workers elsewhere.", _ENGINE_SETTINGS)
    add_command(
        commands, "health", _health, "Ask a gateway or worker of this machine if it is alive.", _HEALTH_SETTINGS
    )
    add_command(commands, "check-config", _check_config, "Show the settings that would be used, secrets hidden.", SPECS)
    add_groups(commands)
    add_backup(commands)
    add_command(commands, "version", _version, "Show the version.", ())
    return parser
