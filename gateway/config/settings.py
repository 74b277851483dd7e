# ruff: noqa: RUF009  the calls below make fields, once
"""Settings: the table of every setting of the gateway.

A setting is a field of `Settings`: its name, type, default, unit, bounds and help stand here once, and the reader,
`--help`, `sluice check-config` and docs/configuration.md are made from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from gateway.clickhouse.topology import DEFAULT_PATH
from gateway.core.units import format_duration, format_size, parse_duration, parse_size

PREFIX: Final = "SLUICE_"

# Above this many rows ClickHouse makes several blocks of one insert, which is then no longer all or nothing.
_INSERT_ROWS_MAX: Final = 1_048_449

Role = Literal["all", "api"]
DatasourceChanges = Literal["allowed", "deployments"]
TokensEndpoint = Literal["loopback", "on", "off"]
LogSync = Literal["fsync", "os", "memory"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What the table of settings knows of one of them, next to its name and default."""

    kind: Literal["text", "path", "integer", "size", "duration", "boolean", "choice"]
    group: str
    help: str
    choices: tuple[str, ...] = ()
    least: float = 0
    most: float | None = None
    secret: bool = False
    default_text: str = ""


def _text(group: str, default: str, text: str, *, secret: bool = False, default_text: str = "") -> Any:
    spec = Spec("text", group, text, secret=secret, default_text=default_text)
    return field(default=default, repr=not secret, metadata={"spec": spec})


def _choice(group: str, default: str, choices: Any, text: str) -> Any:
    return field(default=default, metadata={"spec": Spec("choice", group, text, choices=get_args(choices))})


def _switch(group: str, text: str, *, default: bool) -> Any:
    return field(default=default, metadata={"spec": Spec("boolean", group, text)})


def _integer(
    group: str, default: int, text: str, *, least: int = 1, most: int | None = None, default_text: str = ""
) -> Any:
    spec = Spec("integer", group, text, least=least, most=most, default_text=default_text)
    return field(default=default, metadata={"spec": spec})


def _size(group: str, default: str, text: str, *, least: str, most: str | None = None, default_text: str = "") -> Any:
    bound = parse_size(most) if most else None
    spec = Spec("size", group, text, least=parse_size(least), most=bound, default_text=default_text)
    return field(default=parse_size(default), metadata={"spec": spec})


def _duration(group: str, default: str, text: str, *, least: str = "0", most: str = "1h") -> Any:
    spec = Spec("duration", group, text, least=parse_duration(least), most=parse_duration(most))
    return field(default=parse_duration(default), metadata={"spec": spec})


def _path(group: str, default: str, text: str) -> Any:
    return field(default=Path(default), metadata={"spec": Spec("path", group, text)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, read, checked and filled in. Fields are in the order of the documents."""

    host: str = _text("Serving", "127.0.0.1", "Address to listen on; 0.0.0.0 for every network.")
    port: int = _integer("Serving", 7181, "Port to listen on; 0 for any free one.", least=0, most=65535)
    data_dir: Path = _path("Serving", "./sluice-data", "Directory of everything that is kept.")
    role: Role = _choice(
        "Serving", "all", Role, "all: supervisor, engine and workers; api: one worker and nothing else."
    )
    workers: int = _integer(
        "Serving", 0, "Processes that answer HTTP; 0: one per CPU.", least=0, most=256, default_text="one per CPU"
    )
    pin_workers: bool = _switch(
        "Serving", "Keep each of them to one CPU, which saves a third of the work of small requests.", default=True
    )
    body_bytes_max: int = _size(
        "Serving", "10MB", "Largest request body, after decompression; above it: 413.", least="1kB", most="1GB"
    )
    wait_seconds_max: float = _duration(
        "Serving",
        "30s",
        "Longest that `wait=true` waits for ClickHouse; then 202: the rows are durable, and will land.",
        least="100ms",
    )
    events_requests_per_second_max: int = _integer(
        "Serving",
        0,
        "The same as `rate_limits` with `datasource.requests`. 0: no limit.",
        least=0,
    )
    rate_limits: str = _text(
        "Serving",
        "",
        "Most that is taken in a second, on this node; above it: 429. `workspace.requests=1000, datasource.rows=50000, "
        "token.bytes=10MB`: see below.",
    )
    query_concurrency_max: int = _integer(
        "Serving",
        0,
        "Queries of one workspace at once, of one worker; above it: 429. 0: no limit.",
        least=0,
    )
    drain_seconds_max: float = _duration(
        "Serving", "30s", "Longest that a stop waits for requests and batches; what is left stays in the log."
    )
    shutdown_delay_seconds: float = _duration(
        "Serving",
        "0s",
        "How long a stop goes on serving while `/ready` says 503, so that load balancers send requests elsewhere.",
        most="10m",
    )
    cors: bool = _switch("Serving", "Answer browsers of other origins (CORS).", default=True)
    tls_certificate: str = _text(
        "Serving",
        "",
        "File with the certificate and its chain, PEM; with it we speak HTTPS only. Read again when it changes.",
        default_text="plain HTTP",
    )
    tls_key: str = _text("Serving", "", "File with the key of the certificate, PEM.", default_text="in the same file")
    trusted_proxies: str = _text(
        "Serving",
        "",
        "Proxies whose X-Forwarded-Proto and -Host are believed: addresses, networks (CIDR), separated by commas; "
        "* for all.",
        default_text="none",
    )

    admin_token: str = _text(
        "Tokens and metadata",
        "",
        "Fixes the workspace admin token, for scripts; it is the key of JWTs too, so at least 32 random characters.",
        secret=True,
        default_text="made once",
    )
    secret: str = _text(
        "Tokens and metadata",
        "",
        "Signs the tokens; at least 32 characters; the same on every node that shares a database.",
        secret=True,
        default_text="made once, in the data directory",
    )
    tokens_endpoint: TokensEndpoint = _choice(
        "Tokens and metadata",
        "loopback",
        TokensEndpoint,
        "Who may read the tokens at `GET /tokens`: this machine, everybody, nobody.",
    )
    database_url: str = _text(
        "Tokens and metadata",
        "",
        "Where data sources, tokens, pipes and jobs are recorded: postgresql://user:password@host/database, or sqlite:///path.",
        secret=True,
        default_text="SQLite in the data directory",
    )
    auto_create: bool = _switch(
        "Tokens and metadata",
        "Let events to an unknown data source create it, if the token may create.",
        default=False,
    )
    datasource_changes: DatasourceChanges = _choice(
        "Tokens and metadata",
        "allowed",
        DatasourceChanges,
        "deployments: the API makes, changes, drops no data source or pipe (403), as Tinybird Forward: rows go on.",
    )

    clickhouse_url: str = _text(
        "ClickHouse",
        "",
        "ClickHouse to use, http://user:password@host:8123/; `sluice engine` listens there.",
        secret=True,
        default_text="the embedded engine",
    )
    clickhouse_user: str = _text("ClickHouse", "", "User, if it is not in the URL.", default_text="default")
    clickhouse_password: str = _text("ClickHouse", "", "Password, if it is not in the URL.", secret=True)
    clickhouse_read_user: str = _text(
        "ClickHouse",
        "",
        "User for the queries of others, who can do nothing else: deploy/clickhouse/reader.sql.",
        default_text="the same user",
    )
    clickhouse_read_password: str = _text("ClickHouse", "", "Its password.", secret=True)
    clickhouse_cluster: str = _text(
        "ClickHouse",
        "",
        "Cluster of that ClickHouse on which tables are made, replicated and distributed: docs/clusters.md.",
        default_text="one server",
    )
    clickhouse_cluster_path: str = _text(
        "ClickHouse",
        DEFAULT_PATH,
        "Where the replicas of a table meet in Keeper; with `{uuid}` and `{shard}` in it.",
    )
    clickhouse_insert_quorum: int = _integer(
        "ClickHouse", 0, "On a cluster: replicas that have an insert before it counts as stored. 0: one.", least=0
    )
    engine_memory_bytes_max: int = _size(
        "ClickHouse", "0", "Most memory the embedded engine uses.", least="0", default_text="what the engine thinks fit"
    )
    query_seconds_max: float = _duration("ClickHouse", "10s", "Longest a query may run; above it: 408.", least="100ms")
    query_result_bytes_max: int = _size("ClickHouse", "100MB", "Largest result of a query.", least="1kB")

    log_sync: LogSync = _choice(
        "Durability",
        "fsync",
        LogSync,
        "What 202 means: on the disk; with the operating system (survives kill -9, not a power cut); in memory.",
    )
    log_bytes_max: int = _size(
        "Durability", "10GiB", "Largest log of one worker; when it is full events are refused, 503.", least="1MiB"
    )
    log_segment_bytes_max: int = _size(
        "Durability", "64MiB", "Size at which a file of the log is followed by the next.", least="64KiB", most="1GiB"
    )
    dedup_window: int = _integer(
        "Durability", 10_000, "Inserts a table remembers, so that a repeated one adds nothing."
    )

    batch_rows_max: int = _integer("Batches", 100_000, "Rows of one insert.", most=_INSERT_ROWS_MAX)
    batch_bytes_max: int = _size("Batches", "32MiB", "Bytes of one insert.", least="1kB", most="1GiB")
    batch_age_seconds_max: float = _duration(
        "Batches", "1s", "Longest that a row waits for others before it is inserted.", least="10ms", most="5m"
    )
    buffer_memory_bytes_max: int = _size(
        "Batches", "128MiB", "Memory for rows on their way, of one worker; above it they wait in the log.", least="1MiB"
    )
    flush_concurrency: int = _integer("Batches", 4, "Inserts at once, of one worker.", most=64)
    hold_seconds_max: float = _duration(
        "Batches", "2s", "Longest that a request is held for room in the buffer before it is refused, 503.", most="60s"
    )

    outbound_allow: str = _text(
        "Outbound",
        "",
        "What may be fetched from although it is not on the public internet: host, host:port, address, network (CIDR); "
        "separated by commas.",
        default_text="nothing",
    )
    outbound_seconds_max: float = _duration(
        "Outbound", "1h", "Longest that a download from the URL of an import may take.", least="1s", most="24h"
    )
    import_url_bytes_max: int = _size(
        "Outbound", "10GB", "Largest file that is imported from a URL, as it comes.", least="1kB"
    )

    import_body_bytes_max: int = _size(
        "Imports",
        "500MB",
        "Largest file in the body of a request, CSV or NDJSON, as it comes; above it: 413.",
        least="1kB",
    )
    import_parquet_body_bytes_max: int = _size(
        "Imports", "50MB", "Largest Parquet file in the body of a request; above it: 413.", least="1kB"
    )
    import_unfolded_bytes_max: int = _size(
        "Imports", "32GB", "Largest file that is imported, decompressed.", least="1kB"
    )
    import_sync_bytes_max: int = _size(
        "Imports",
        "8MiB",
        "Largest file that is imported while the client waits; larger ones are left to a worker. What is packed counts "
        "eight times.",
        least="0",
    )

    job_workers: int = _integer(
        "Jobs",
        1,
        "Processes that do imports, deletes and other jobs; 0: none here, `sluice worker` does them.",
        least=0,
        most=64,
    )
    worker_port: int = _integer(
        "Jobs",
        0,
        "Port of `host` where a `sluice worker` answers `/metrics` and `/health`; 0: none.",
        least=0,
        most=65535,
    )
    worker_concurrency: int = _integer("Jobs", 2, "Jobs that one of them does at once.", most=64)

    copy_seconds_max: float = _duration(
        "Copies", "1h", "Longest that the query of a copy runs.", least="1s", most="24h"
    )
    copy_memory_bytes_max: int = _size("Copies", "4GiB", "Memory that the query of a copy takes.", least="1MiB")
    copy_open_max: int = _integer(
        "Copies", 20, "Copies of one workspace that wait or run, for another to be asked for; above it: 429.", least=1
    )

    traces_endpoint: str = _text(
        "Tracing",
        "",
        "Collector of OpenTelemetry that gets traces, OTLP over HTTP: http://collector:4318. Needs the extra `otel`.",
        default_text="none: nothing is traced",
    )
    traces_one_in: int = _integer(
        "Tracing",
        100,
        "One of how many requests is traced, of those without a `traceparent` that decides it; 0: none.",
        least=0,
    )

    log_level: LogLevel = _choice("Logging", "info", LogLevel, "The least important message that is written to stderr.")
    log_format: LogFormat = _choice(
        "Logging", "auto", LogFormat, "One JSON object a line, or text for people; auto: text on a terminal."
    )


SPECS: Final[Mapping[str, Spec]] = {field.name: field.metadata["spec"] for field in fields(Settings)}
DEFAULTS: Final = Settings()

# What a process has a use for that answers no HTTP and starts no others.
WORKER_SETTINGS: Final = tuple(
    name
    for name, spec in SPECS.items()
    if (
        (spec.group in {"Outbound", "Imports", "Jobs", "Logging"} or name.startswith("clickhouse_"))
        and name
        not in {"import_body_bytes_max", "import_parquet_body_bytes_max", "import_sync_bytes_max", "job_workers"}
    )
    or name in {"host", "data_dir", "drain_seconds_max", "secret", "database_url"}
)


def flag(name: str) -> str:
    """Return the command line option of the setting `name`."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """Return the environment variable of the setting `name`."""
    return PREFIX + name.upper()


def file_variable(name: str) -> str:
    """Return the environment variable that names a file with the secret `name`."""
    return variable(name) + "_FILE"


def format_value(spec: Spec, value: Any) -> str:
    """Return `value` as a person would write it in a flag, and as `load` reads it back."""
    if spec.kind == "size":
        return format_size(int(value))
    if spec.kind == "duration":
        return format_duration(value)
    if spec.kind == "boolean":
        return "on" if value else "off"
    return f"{value:.0f}" if isinstance(value, float) else str(value)
