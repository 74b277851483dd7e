"""Orders: what a child is told when it starts, as one line of JSON on its standard input.

Settings were read and checked once, by the supervisor; a child that starts a week later gets the same. Credentials are
neither in the arguments nor in the environment, where other processes could see them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import Settings, WorkerIdentity


@dataclass(frozen=True, slots=True)
class Orders:
    """Be the worker `identity`, of HTTP or of jobs as it says.

    Without one be the engine, listening where `settings.clickhouse_url` says.
    """

    settings: Settings
    identity: WorkerIdentity | None = None

    def encode(self) -> bytes:
        """Return the line."""
        return msgspec.json.encode(self, enc_hook=str) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Orders":
        """Return what `encode` was given.

        Raises:
            msgspec.DecodeError: it is not such a line.
        """
        return msgspec.json.decode(line, type=cls, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    assert kind is Path
    return Path(value)
