"""Logs: events with fields, one line each on stderr, with nothing in them that opens a door.

    {"time": "2026-01-02T03:04:05.678901Z", "level": "warning", "event": "flush.retried", "role": "worker", …}

`configure` is called once a process. Records of the standard library (aiohttp's, asyncio's) take the same way. The last
step before a line is written replaces whatever looks like a token or password in any field, and the secrets that this
process knows by heart; so no caller needs to think of it, and no caller can forget it.

Levels: error: data lost, or an operator must act. warning: unexpected, recovered, nothing lost. info: life of the
process. debug: never one per event.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TextIO

import orjson
import structlog

HIDDEN: Final = "[hidden]"

# What follows these words is a secret: in a query string (also one that was quoted once more), as a keyword argument or
# a key that was printed, in a header.
_NAMES: Final = "(?:admin_|user_|workspace_admin_|access_)?token|password|passwd|secret|api_key"
_HEADERS: Final = "authorization|x-clickhouse-key"
_VALUE: Final = r"""(?:"[^"]*"|'[^']*'|[^\s"'&;,<>]+)"""
# A token is no part of a word; in a URL a character that was quoted, perhaps twice, may stand before it.
_BEFORE: Final = r"(?:(?<![\w.-])|(?<=%[0-9a-f]{2})|(?<=%25[0-9a-f]{2}))"
_SECRETS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (rf"{_BEFORE}p\.[\w-]+\.[\w-]+", HIDDEN),  # a token of ours: p.<payload>.<signature>
        (rf"{_BEFORE}eyJ[\w-]+\.[\w-]+\.[\w-]*", HIDDEN),  # a JWT
        (r"(://[^/\s:@]*):[^/\s]*@", rf"\1:{HIDDEN}@"),  # scheme://user:password@host
        (rf"(?:(?<!\w)|(?<=%3f)|(?<=%26))({_NAMES})(=|%3d){_VALUE}", rf"\1\2{HIDDEN}"),
        (rf"""(["'])({_NAMES}|{_HEADERS})\1(\s*:\s*){_VALUE}""", rf"\1\2\1\3{HIDDEN}"),
        (rf"(?<!\w)({_HEADERS})(\s*:\s*)(?:(?:bearer|basic)\s+)?{_VALUE}", rf"\1\2{HIDDEN}"),
        (rf"\b(bearer|basic)\s+{_VALUE}", rf"\1 {HIDDEN}"),
    )
)
_SECRET_FIELD: Final = re.compile(f"{_NAMES}|{_HEADERS}", re.IGNORECASE)

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingOptions:
    """How this process logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"  # auto: text on a terminal, JSON otherwise
    bound: Mapping[str, str | int] = field(default_factory=dict)  # fields of every line, such as role and worker
    secrets: tuple[str, ...] = field(default=(), repr=False)  # replaced wherever they appear


def configure(options: LoggingOptions, stream: TextIO | None = None) -> None:
    """Send the log of this process to `stream` (stderr) as `options` say; instead of what was configured before."""
    stream = stream or sys.stderr
    is_text = options.format == "text" or (options.format == "auto" and stream.isatty())
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _Binder(options.bound),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*before, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            Redactor(options.secrets),
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time") if is_text else _to_json,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[options.level])
    logging.getLogger("alembic").setLevel(max(_LEVELS[options.level], logging.WARNING))  # we say what was migrated
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of the part `name`; cheap, and good from before `configure`.

    Events are named `<part>.<what_happened>`: `log.warning("flush.retried", datasource=…, attempt=3)`.
    """
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


class Redactor:
    """The processor that takes secrets out of every field, keys included."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        # The longest first: one secret may be the beginning of another.
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return `event` without secrets, of plain values only."""
        return {key: self._field(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        return text

    def _field(self, key: str, value: object) -> object:
        return HIDDEN if value and _SECRET_FIELD.fullmatch(key) else self._value(value)

    def _value(self, value: object) -> object:
        """Return `value` without secrets; what JSON does not know becomes text first, or it would slip through."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._value(item) for item in value]
        if isinstance(value, (bytes, bytearray)):
            return self.text(bytes(value).decode("utf-8", "backslashreplace"))
        return self.text(repr(value) if isinstance(value, BaseException) else str(value))


class _Binder:
    """The processor that adds the fields of this process."""

    def __init__(self, bound: Mapping[str, str | int]) -> None:
        self._bound = dict(bound)

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in self._bound.items():
            event.setdefault(key, value)
        return event


def _to_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return `event` as one line of JSON, with the fields everybody looks for first."""
    line = {key: event[key] for key in ("time", "level", "event") if key in event} | dict(event)
    try:
        return orjson.dumps(line).decode()
    except TypeError:  # half of a surrogate pair, or an integer above 64 bits
        return orjson.dumps({key: ascii(value) for key, value in line.items()}).decode()
