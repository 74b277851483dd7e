"""Fetched: the file behind a URL, whole and on the disk, before the first of its rows is looked at."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gateway.core.clock import Clock
from gateway.outbound.fetch import Fetcher

_TELL_SECONDS: Final = 1.0

Tell = Callable[[float], Awaitable[None]]
"""Shows which share of the file is here, 0 to 1; what it raises ends the download."""


async def fetch_whole(
    fetcher: Fetcher, url: str, path: Path, bytes_max: int, tell: Tell, clock: Clock
) -> dict[str, Any]:
    """Download `url` to `path`; return what is to be known of the file: `digest`, `encoding`, `charset`.

    Raises:
        FetchRefused, FetchFailed, SpoolFailed: see `Fetcher.fetch`.
    """
    share = 0.0

    def progress(size: int, total: int | None) -> None:
        nonlocal share
        share = min(1.0, size / total) if total else 0.0

    async def keep_telling() -> None:
        while True:
            await clock.sleep(_TELL_SECONDS)
            await tell(share)

    telling = asyncio.create_task(keep_telling())
    fetching = asyncio.create_task(fetcher.fetch(url, path, bytes_max=bytes_max, progress=progress))
    try:
        await asyncio.wait({telling, fetching}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            await telling  # the job was cancelled, or is another's
        found = await fetching
    finally:
        telling.cancel()
        fetching.cancel()
        await asyncio.gather(telling, fetching, return_exceptions=True)
    return {
        "digest": await asyncio.to_thread(_digest, path),
        "encoding": found.encoding,
        "charset": found.charset,
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
