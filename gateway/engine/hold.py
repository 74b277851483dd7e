"""Hold: a moment at which nothing in the engine changes, for a backup, and a picture of all parts as they are then.

    take      let no statement begin that writes; when none runs any more, freeze every table (hard links, no copies)
    release   let them begin again; the frozen parts stay until who asked for them removes them

Reads go on, and so does everything in front of the engine: what would be inserted waits. A statement that takes long (a
copy, a populate) is not waited for with the gate closed: it is let end, and then the gate is closed again. A hold ends
by itself after `hold_seconds_max`, so that nobody who dies with one in his hand stops the inserts for longer.

Whoever can read the data directory may hold: the port and a key are in the file `hold` of it, for its owner alone.
"""

import asyncio
import contextlib
import hmac
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from typing import Final

from gateway.core.clock import Clock
from gateway.engine.call import quote, quote_name
from gateway.engine.door import FILE, PREFIX
from gateway.engine.errors import ABORTED, EngineError
from gateway.engine.library import Library
from gateway.engine.options import EngineOptions
from gateway.engine.runner import Runner
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

# How long the gate may be closed for statements that run already, and how long in all one tries.
_QUIET_SECONDS_MAX: Final = 2.0
_TRY_SECONDS_MAX: Final = 600.0

_TABLES: Final = (
    b"SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree' "
    b"AND database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') ORDER BY database, name"
)


@dataclass(frozen=True, slots=True)
class Held:
    """What was held, as it is told to who asked."""

    name: str
    version: str
    tables: int


class Hold:
    """See the module. One per engine; belongs to the loop."""

    def __init__(self, runner: Runner, library: Library, options: EngineOptions, clock: Clock) -> None:
        self._runner = runner
        self._library = library
        self._directory = options.data_dir
        self._seconds_max = options.hold_seconds_max
        self._clock = clock
        self._key = secrets.token_urlsafe(24)
        self._name = ""
        self._since = 0.0
        self._expiry: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def open(self, port: int) -> None:
        """Say how to ask; what earlier runs left frozen is removed.

        Raises:
            OSError: the directory cannot be written.
        """
        for left in (self._directory / "clickhouse" / "shadow").glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        new = self._directory / f"{FILE}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(f"{port} {self._key}\n")
        new.replace(self._directory / FILE)

    def close(self) -> None:
        """Say that there is nobody to ask any more."""
        (self._directory / FILE).unlink(missing_ok=True)

    def knows(self, key: str) -> bool:
        """Return whether `key` is the one in the file."""
        return hmac.compare_digest(key.encode(), self._key.encode())

    async def take(self) -> dict[str, str | int]:
        """Hold, and freeze; return what is held.

        Raises:
            EngineError: somebody else holds, statements do not end, or a table cannot be frozen.
        """
        async with self._turn:
            if self._name:
                raise EngineError(ABORTED, "Another backup is being taken: wait until it is done")
            try:
                since = await self._close_gate()
                held = await asyncio.to_thread(self._freeze, PREFIX + secrets.token_hex(8))
            except BaseException:
                self._runner.resume()
                raise
            self._name, self._since = held.name, since
            self._expiry = asyncio.create_task(self._expire())
            return asdict(held)

    def release(self, name: str) -> bool:
        """End the hold `name`; return whether it lasted until now."""
        if not name or name != self._name:
            return False
        if self._expiry is not None:
            self._expiry.cancel()
        self._let_go()
        return True

    async def _close_gate(self) -> float:
        """Return since when nothing that writes has begun, and all that had has ended."""
        deadline = self._clock.monotonic() + _TRY_SECONDS_MAX
        while True:
            since = self._clock.monotonic()
            running = self._runner.pause()
            if running:
                _, running = await asyncio.wait(running, timeout=_QUIET_SECONDS_MAX)
            if not running:
                return since
            self._runner.resume()
            await asyncio.wait(running, timeout=deadline - self._clock.monotonic())
            if self._clock.monotonic() > deadline:
                raise EngineError(
                    ABORTED,
                    f"Statements that write did not end in {_TRY_SECONDS_MAX:.0f} seconds, so there is no moment for a "
                    "backup: take it when the copy or the import that runs now is done",
                )

    def _freeze(self, name: str) -> Held:
        """Freeze every table as `name`; in a thread."""
        link = self._library.connect()
        try:
            found = [line.split(b"\t") for line in link.execute(_TABLES).body.splitlines()]
            for names in found:
                place = b".".join(map(quote_name, names))
                link.execute(b"ALTER TABLE " + place + b" FREEZE WITH NAME " + quote(name.encode()))
        except BaseException:
            shutil.rmtree(self._directory / "clickhouse" / "shadow" / name, ignore_errors=True)
            raise
        finally:
            link.close()
        return Held(name, self._library.version, len(found))

    async def _expire(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._clock.sleep(self._seconds_max)
            _logger.warning("engine.hold_expired", after_seconds=self._seconds_max)
            self._let_go()

    def _let_go(self) -> None:
        _logger.info("engine.held", seconds=round(self._clock.monotonic() - self._since, 3))
        self._name, self._expiry = "", None
        self._runner.resume()
