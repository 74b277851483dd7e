"""Site: an HTTP server on loopback that answers byte for byte what a test says, so it can also lie, stop and break off.

    async with Site({"/f.csv": ok(b"a,b\\n")}) as site:
        site.url("/f.csv"), site.asked

A script is a sequence of pieces: bytes are sent, `HANG` sends nothing more and holds the connection until the other side
closes it. At the end the connection is closed. A page is a script, or a function from what was asked to one.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

HANG: Final = "hang"
Script = Sequence[bytes | str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came."""

    target: str
    headers: dict[str, str]  # names in lower case


Page = Script | Callable[[Asked], Script]


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an answer; `_` in names is `-`."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode()


def ok(body: bytes, **headers: str) -> Script:
    """A whole answer."""
    return [head(Content_Length=str(len(body)), **headers), body]


def redirect(to: str, status: str = "302 Found") -> Script:
    return [head(status, Location=to, Content_Length="0")]


@dataclass(slots=True)
class Site:
    """See the module."""

    pages: Mapping[str, Page]
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [each.target for each in self.asked]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ):
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        target = lines[0].split(" ")[1]
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        self.asked.append(Asked(target, {name.lower(): value for name, value in pairs}))
        page = self.pages.get(target.partition("?")[0], [head("404 Not Found", Content_Length="0")])
        for piece in page(self.asked[-1]) if callable(page) else page:
            if isinstance(piece, str):
                await reader.read()
                return
            writer.write(piece)
            await writer.drain()
