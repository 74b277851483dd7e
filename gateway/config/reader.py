"""Reader: settings from the command line, the environment, a file and the defaults, in this order.

    --data-dir X        the command line
    SLUICE_DATA_DIR     the environment; an empty value counts as not given
    SLUICE_SECRET_FILE  the same, for secrets: the file that holds the value
    data_dir = "X"      the TOML file named by --config or SLUICE_CONFIG
    the default

All that is wrong is said at once, in one `ConfigurationError`. This is the only module that reads the environment.
"""

import difflib
import os
import re
import ssl
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from gateway.admission.limits import parse_limits
from gateway.config.settings import DEFAULTS, PREFIX, SPECS, Settings, Spec, file_variable, flag, format_value, variable
from gateway.core.units import parse_boolean, parse_duration, parse_size
from gateway.outbound.address import parse_allow_list
from gateway.telemetry.logs import Redactor
from gateway.web.forwarded import Proxies
from gateway.web.tls import Certificate

_CONFIG: Final = "SLUICE_CONFIG"
_SECRET_CHARACTERS_MIN: Final = 32
_SECRET_FILE_BYTES_MAX: Final = 64 * 1024
_CLUSTER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ConfigurationError(Exception):
    """The gateway cannot start with these settings; `problems` are sentences, for people, without secrets."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each the place its value came from: "flag", "environment", "file" or "default"."""

    settings: Settings
    sources: Mapping[str, str]


def load(flags: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Loaded:
    """Return the settings.

    Args:
        flags: name of a setting, or "config", to the text given on the command line.
        environment: instead of the process's own.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251  the one reader
    problems: list[str] = []
    path = flags.get("config") or environment.get(_CONFIG, "")
    layers = (
        ("file", _from_file(Path(path), problems) if path else {}),
        ("environment", _from_environment(environment, problems)),
        ("flag", {name: (flag(name), text) for name, text in flags.items() if name in SPECS}),
    )
    values: dict[str, Any] = {}
    sources = dict.fromkeys(SPECS, "default")
    for source, layer in layers:
        for name, (label, raw) in layer.items():
            try:
                values[name] = _parse(SPECS[name], raw)
                sources[name] = source
            except ValueError as error:
                problems.append(f"{label}: {_shown(SPECS[name], raw)}{error}")
    settings = replace(DEFAULTS, **values)
    settings = replace(settings, database_url=_with_driver(settings.database_url))
    problems += _clashes(settings)
    if problems:
        raise ConfigurationError(*problems)
    return Loaded(_filled_in(settings), sources)


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, tuple[str, Any]]:
    known = {variable(name): name for name in SPECS}
    files = {file_variable(name): name for name, spec in SPECS.items() if spec.secret}
    layer: dict[str, tuple[str, Any]] = {}
    for key, raw in environment.items():
        if not key.startswith(PREFIX) or key == _CONFIG or raw == "":
            continue
        if raw.startswith("tcp://") or "_SERVICE_" in key:
            problems.append(f"{key}: was set by Kubernetes for a Service; say `enableServiceLinks: false` in the pod")
        elif key in known:
            layer[known[key]] = (key, raw)
        elif key in files:
            name = files[key]
            if environment.get(variable(name)):
                problems.append(f"{key}: {variable(name)} is set as well; set one of them")
                continue
            try:
                layer[name] = (key, _secret_in(Path(raw)))
            except ValueError as error:
                problems.append(f"{key}: {raw}: {error}")
        else:
            problems.append(f"{key}: is not a setting{_did_you_mean(key, known)}")
    return layer


def _secret_in(path: Path) -> str:
    """Return what the file `path` holds, without the end of its line.

    Raises:
        ValueError: it cannot be read, or holds nothing; the message goes behind its name.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_SECRET_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is no text in UTF-8") from None
    if len(text) > _SECRET_FILE_BYTES_MAX:
        raise ValueError("is no secret: it is larger than 64 KiB")
    if not (text := text.removesuffix("\n")):
        raise ValueError("is empty")
    return text


def _from_file(path: Path, problems: list[str]) -> dict[str, tuple[str, Any]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problems.append(f"{path}: cannot be read as TOML: {reason}")
        return {}
    problems += [f"{path}: {key}: is not a setting{_did_you_mean(key, SPECS)}" for key in document if key not in SPECS]
    return {key: (f"{path}: {key}", raw) for key, raw in document.items() if key in SPECS}


def _did_you_mean(key: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(spec: Spec, raw: object) -> str:
    return "" if spec.secret else f'"{raw}" '


def _parse(spec: Spec, raw: object) -> Any:
    """Return the value that `raw` means: text from a flag or the environment, anything TOML has from a file."""
    if isinstance(raw, bool) != (spec.kind == "boolean") and not isinstance(raw, str):
        raise ValueError(f"is not {_KIND_NAMES[spec.kind]}")
    if not isinstance(raw, (str, int, float)) or (isinstance(raw, (int, float)) and spec.kind in _TEXTS):
        raise ValueError(f"is not {_KIND_NAMES[spec.kind]}")
    value = _PARSERS[spec.kind](str(raw))
    if spec.choices and value not in spec.choices:
        raise ValueError(f"is none of {', '.join(spec.choices)}")
    if isinstance(value, (int, float)) and spec.kind != "boolean":
        if value < spec.least:
            raise ValueError(f"is below {format_value(spec, spec.least)}")
        if spec.most is not None and value > spec.most:
            raise ValueError(f"is above {format_value(spec, spec.most)}")
    return value


def _parse_text(text: str) -> str:
    if text != text.strip() or "\n" in text:
        raise ValueError("begins or ends with white space, or has a line break")
    return text


def _parse_integer(text: str) -> int:
    if not (text.isascii() and text.strip().removeprefix("-").isdigit()):
        raise ValueError("is not a whole number")
    return int(text)


def _parse_path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError("is not a path")
    return Path(text).expanduser()


_KIND_NAMES: Final = {
    "text": "a text",
    "path": "a path",
    "integer": "a whole number",
    "size": 'a size, such as "64MiB"',
    "duration": 'a duration, such as "500ms"',
    "boolean": "on or off",
    "choice": "a text",
}
_TEXTS: Final = frozenset({"text", "path", "choice"})
_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "text": _parse_text,
    "path": _parse_path,
    "integer": _parse_integer,
    "size": parse_size,
    "duration": parse_duration,
    "boolean": parse_boolean,
    "choice": str,
}


def _clashes(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each combination that cannot work."""
    for small, large in _NOT_ABOVE:
        low, high = getattr(settings, small), getattr(settings, large)
        if low > high:
            shown = f"{format_value(SPECS[small], low)} is above {format_value(SPECS[large], high)}"
            yield f"{small} must not be above {large}: {shown}"
    if 2 * settings.log_segment_bytes_max > settings.log_bytes_max:
        yield "log_bytes_max must hold at least two segments: raise it, or lower log_segment_bytes_max"
    if settings.role == "api" and not settings.clickhouse_url:
        yield "role api starts no engine: set clickhouse_url"
    if settings.role == "api" and settings.workers > 1:
        yield "role api is one worker: leave workers out, or start role all"
    if settings.secret and len(settings.secret) < _SECRET_CHARACTERS_MIN:
        yield "secret must have at least 32 characters"
    yield from _database_clashes(settings)
    try:
        parse_allow_list(settings.outbound_allow)
    except ValueError as error:
        yield f"outbound_allow {error}"
    try:
        limits = parse_limits(settings.rate_limits)
    except ValueError as error:
        yield f"rate_limits {error}"
    else:
        if settings.events_requests_per_second_max and "datasource.requests" in limits:
            yield "rate_limits says datasource.requests, and events_requests_per_second_max says it again"
    if settings.traces_endpoint and not settings.traces_endpoint.startswith(("http://", "https://")):
        yield "traces_endpoint must look like http://collector:4318"
    elif settings.traces_endpoint and not _has_opentelemetry():
        yield "traces_endpoint needs OpenTelemetry: pip install 'sluice-gateway[otel]', or leave it out"
    yield from _serving_clashes(settings)
    yield from _clickhouse_clashes(settings)


def _database_clashes(settings: Settings) -> Iterator[str]:
    if settings.database_url and not settings.database_url.startswith(tuple(_DRIVERS.values())):
        yield "database_url must begin with postgresql: or sqlite:"
    if settings.database_url.startswith("postgresql"):
        if _POSTGRESQL.fullmatch(settings.database_url) is None:
            yield (
                "database_url must look like postgresql://user:password@host:5432/database; in the user and password "
                "write / ? # [ and ] as %2F %3F %23 %5B and %5D"
            )
        if not settings.secret:
            yield "secret must be set when database_url is PostgreSQL, to the same on every node that uses it"
        if find_spec("asyncpg") is None:
            yield "database_url is PostgreSQL, whose driver is an extra: pip install 'sluice-gateway[postgres]'"


# How people write it → how the library names its driver.
_DRIVERS: Final = {
    "postgres:": "postgresql+asyncpg:",
    "postgresql:": "postgresql+asyncpg:",
    "sqlite:": "sqlite+aiosqlite:",
}


# With anything else in it, parts of a password would be read as a host, and be shown when that does not answer.
_HOST: Final = r"(?:\[[^][/?#@]*\]|[^][:,/?#@]*)(?::\d*)?"
_POSTGRESQL: Final = re.compile(rf"[^:]+://(?:[^][/?#]*@)?{_HOST}(?:,{_HOST})*(?:/[^?#@]*)?(?:\?[^#]*)?")


def _with_driver(url: str) -> str:
    scheme, colon, rest = url.partition(":")
    return _DRIVERS.get(scheme + colon, scheme + colon) + rest


def _serving_clashes(settings: Settings) -> Iterator[str]:
    try:
        Proxies(settings.trusted_proxies)
    except ValueError as error:
        yield f"trusted_proxies {error}"
    if settings.tls_key and not settings.tls_certificate:
        yield "tls_key is of no use without tls_certificate"
    if settings.tls_certificate:
        try:
            certificate_of(settings)
        except OSError as error:
            is_pem = isinstance(error, ssl.SSLError)
            reason = "they are no certificate and its key in PEM, or not of each other" if is_pem else error.strerror
            yield f"tls_certificate and tls_key can not be used: {reason or error}"


def _has_opentelemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def certificate_of(settings: Settings) -> Certificate | None:
    """Return the certificate to show; None for plain HTTP.

    Raises:
        OSError: it cannot be read, or is none.
    """
    if not settings.tls_certificate:
        return None
    return Certificate(Path(settings.tls_certificate), Path(settings.tls_key or settings.tls_certificate))


_NOT_ABOVE: Final = (
    ("batch_bytes_max", "buffer_memory_bytes_max"),
    ("body_bytes_max", "buffer_memory_bytes_max"),
    ("body_bytes_max", "log_bytes_max"),
)


def _clickhouse_clashes(settings: Settings) -> Iterator[str]:
    if not settings.clickhouse_url:
        if settings.clickhouse_user or settings.clickhouse_password:
            yield "clickhouse_user and clickhouse_password are of no use without clickhouse_url"
        if settings.clickhouse_cluster:
            yield "clickhouse_cluster needs clickhouse_url: the embedded engine is one server"
        return
    try:
        url = urlsplit(settings.clickhouse_url)
        is_usable = (
            url.scheme in {"http", "https"} and bool(url.hostname) and url.port != -1
        )  # reading the port checks it
    except ValueError:
        is_usable = False
    if not is_usable:
        yield "clickhouse_url must look like http://user:password@host:8123/"
        return
    yield from _cluster_clashes(settings)
    if (url.username and settings.clickhouse_user) or (url.password and settings.clickhouse_password):
        yield "clickhouse_url has a user or password, and clickhouse_user or clickhouse_password says it again"


def _cluster_clashes(settings: Settings) -> Iterator[str]:
    if not settings.clickhouse_cluster:
        if settings.clickhouse_insert_quorum:
            yield "clickhouse_insert_quorum is of no use without clickhouse_cluster"
        return
    if _CLUSTER.fullmatch(settings.clickhouse_cluster) is None:
        yield "clickhouse_cluster must be a name of letters, digits, _, - and ., as in remote_servers of ClickHouse"
    path = settings.clickhouse_cluster_path
    if not path.startswith("/") or not all(macro in path for macro in ("{uuid}", "{shard}")):
        yield (
            "clickhouse_cluster_path must begin with / and have {uuid} and {shard} in it: a table that takes the name "
            "of another must not meet its replicas"
        )


def _filled_in(settings: Settings) -> Settings:
    """Return `settings` with the defaults that depend on the machine or on other settings."""
    data_dir = settings.data_dir.absolute()
    return replace(
        settings,
        data_dir=data_dir,
        workers=settings.workers or (1 if settings.role == "api" else _cpus()),
        database_url=settings.database_url or f"sqlite+aiosqlite:///{data_dir / 'metadata.db'}",
    )


def _cpus() -> int:
    """Return how many CPUs this process may use, where the system says so; else how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def as_toml(settings: Settings, name: str) -> str:
    """Return the line of a settings file that sets `name` as in `settings`; of a secret, only that there is one."""
    spec, value = SPECS[name], getattr(settings, name)
    if spec.kind == "boolean":
        return f"{name} = {'true' if value else 'false'}"
    if spec.kind == "integer":
        return f"{name} = {value}"
    text = format_value(spec, value)
    if spec.secret and text:
        shown = Redactor().text(text) if name.endswith("_url") else "[hidden]"
        if shown != text:
            return f"# {name} = {shown}"
        text = shown
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{escaped}"'


def clickhouse_address(settings: Settings) -> str:
    """Return the URL of ClickHouse with user and password in it; empty for the embedded engine."""
    if not settings.clickhouse_url:
        return ""
    url = urlsplit(settings.clickhouse_url)
    user = unquote(url.username or "") or settings.clickhouse_user or "default"
    password = unquote(url.password or "") or settings.clickhouse_password
    place = url.netloc.rpartition("@")[2]
    return url._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{place}").geturl()
