"""Ahead: blocks are read in a thread, one ahead of the one that is used: two are in memory, however large the file."""

import asyncio
from collections.abc import AsyncGenerator, Iterator

from gateway.imports.blocks import Block


async def read_ahead(blocks: Iterator[Block]) -> AsyncGenerator[Block, None]:
    """Yield `blocks`; while one is used, the next is read in a thread. Close it, so that the file is closed.

    Raises:
        InvalidRequest: as the iterator does.
    """
    reading = asyncio.create_task(asyncio.to_thread(next, blocks, None))
    try:
        while (block := await asyncio.shield(reading)) is not None:
            reading = asyncio.create_task(asyncio.to_thread(next, blocks, None))
            yield block
    finally:
        await asyncio.wait({reading})
        if not reading.cancelled():
            reading.exception()  # whoever wanted to know knows it
        await asyncio.to_thread(_close, blocks)


def _close(blocks: Iterator[Block]) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        close()
