"""Analyze: what a file would be as a data source, before there is one. Nothing is stored. Source: analyze.md."""

import asyncio
import io
from pathlib import Path
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.core.clock import Clock
from gateway.imports.analysis import SAMPLE_BYTES, Specimen, analyze, format_of
from gateway.imports.sniff import Format
from gateway.outbound.fetch import Fetcher

FILE_BYTES_MAX: Final = 50_000_000
"""Of a file that is analyzed: clients send Parquet whole."""

# At once in this process; each may take some hundred MB and a processor.
_AT_ONCE_MAX: Final = 2


class AnalyzeControl:
    """See the module. One per worker."""

    def __init__(self, fetcher: Fetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE_MAX)

    def check_may_ask(self, principal: Principal) -> None:
        """Raise if it is not for this principal, before a file is received.

        Raises:
            Forbidden: so it is.
        """
        principal.require(Action.DATASOURCE_CREATE)

    async def file(self, path: Path, size: int, encoding: str, charset: str) -> dict[str, Any]:
        """Return the answer for the file at `path`, or the beginning of one.

        Raises:
            InvalidRequest: it cannot be read, or is empty.
        """
        return await self._answer(Specimen(lambda: path.open("rb"), size, encoding, charset, path.parent))

    async def url(self, url: str, path: Path) -> dict[str, Any]:
        """Return the answer for what is behind `url`; a Parquet file comes to `path` and is removed.

        Raises:
            InvalidRequest: it cannot be fetched or read, or is empty.
        """
        head = await self._fetcher.sample(url, SAMPLE_BYTES)
        if format_of(head) is not Format.PARQUET:
            return await self._answer(Specimen(lambda: io.BytesIO(head), len(head)))
        found = await self._fetcher.fetch(url, path, bytes_max=FILE_BYTES_MAX)
        try:
            return await self.file(path, found.size, found.encoding, found.charset)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _answer(self, specimen: Specimen) -> dict[str, Any]:
        async with self._slots:
            began = self._clock.monotonic()
            found = await asyncio.to_thread(analyze, specimen)
            return found.wire(self._clock.monotonic() - began)
