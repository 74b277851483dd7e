"""Door: the way from another process of this machine to the engine's hold; see `hold`. It needs no engine itself."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import orjson

FILE: Final = "hold"
"""In the engine's directory: how it is asked for a hold."""

PATH: Final = "/sluice/hold"
KEY_HEADER: Final = "X-Sluice-Key"

PREFIX: Final = "sluice_backup_"
"""How the names of frozen pictures begin, in the directory `shadow`."""

# Longer than the engine itself tries.
_ANSWER_SECONDS_MAX: Final = 660.0


class HoldFailed(Exception):
    """The engine cannot be held, or was not held for long enough; the message is for the operator."""


@dataclass(slots=True)
class HeldEngine:
    """An engine that is held: nothing is written to it."""

    name: str
    """Of the frozen parts: the directory of this name in `clickhouse/shadow`."""
    version: str
    tables: int


@contextmanager
def held_engine(directory: Path) -> Iterator[HeldEngine]:
    """Hold the engine of `directory` until the block ends.

    Raises:
        HoldFailed: it does not answer, or cannot be held; or, at the end, the block took so long that the hold had
            ended already, so that what it saw was not of one moment.
    """
    try:
        port, key = (directory / FILE).read_text(encoding="ascii").split()
    except PermissionError as error:
        raise HoldFailed(f"{directory / FILE} cannot be read: be the user that Sluice runs as") from error
    except (OSError, ValueError) as error:
        raise HoldFailed(f"the engine of {directory} does not run, or not yet: is `sluice serve` ready?") from error
    status, body = _ask("POST", int(port), key, {})
    if status != 200:
        raise HoldFailed(body.decode("utf-8", "replace"))
    held = HeldEngine(**orjson.loads(body))
    try:
        yield held
    except BaseException:
        with suppress(HoldFailed):
            _ask("DELETE", int(port), key, {"name": held.name})
        raise
    if _ask("DELETE", int(port), key, {"name": held.name})[0] != 200:
        raise HoldFailed(
            "copying the log took longer than inserts may be kept waiting: take the backup when fewer rows wait "
            "(sluice_log_bytes)"
        )


def _ask(method: str, port: int, key: str, parameters: dict[str, Any]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS_MAX)
    try:
        connection.request(method, f"{PATH}?{urlencode(parameters)}", headers={KEY_HEADER: key})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise HoldFailed(f"the engine does not answer: {error}") from error
    finally:
        connection.close()
