"""Balancer: load balancers in front of nodes, on a free port: one of our own, HAProxy or nginx.

All do the same: they ask for /ready, send requests to nodes that say 200, and send one again elsewhere only if nothing of
it reached a node. nginx of Debian asks nobody: it hears of a node that stops when nothing listens there any more.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from abc import ABC, abstractmethod
from pathlib import Path

import aiohttp
from aiohttp import web
from processes import ROOT, Daemon, Skipped

CHECK_SECONDS = 0.1
_HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host"}


class Own:
    """A small one, in this process. `port` is where it answers."""

    def __init__(self, ports: list[int]) -> None:
        self.port = 0
        self._ready = dict.fromkeys(ports, False)
        self._turn = 0

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60), auto_decompress=False
        )
        self._checking = [asyncio.create_task(self._check(port)) for port in self._ready]
        self._runner = web.ServerRunner(web.Server(self._forward))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # noqa: SLF001

    async def stop(self) -> None:
        for task in self._checking:
            task.cancel()
        await self._runner.cleanup()
        await self._session.close()

    async def _check(self, port: int) -> None:
        # A connection for each check, so that a node that closes its own is not taken for one that is gone.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            while True:
                try:
                    async with asyncio.timeout(1), session.get(f"http://127.0.0.1:{port}/ready") as answer:
                        self._ready[port] = answer.status == 200
                except (aiohttp.ClientError, OSError):
                    self._ready[port] = False
                await asyncio.sleep(CHECK_SECONDS)

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        ready = [port for port, is_ready in self._ready.items() if is_ready]
        self._turn += 1
        for port in ready[self._turn % len(ready) :] + ready[: self._turn % len(ready)] if ready else []:
            url = f"http://127.0.0.1:{port}{request.path_qs}"
            try:
                async with self._session.request(request.method, url, data=body, headers=headers) as answer:
                    found = {n: v for n, v in answer.headers.items() if n.lower() not in _HOP_BY_HOP}
                    return web.Response(status=answer.status, body=await answer.read(), headers=found)
            except aiohttp.ClientConnectorError:
                continue  # nothing was sent
            except (aiohttp.ClientError, OSError, TimeoutError):
                return web.Response(status=502, text="the node broke off")
        return web.Response(status=503, text="no node is ready")


_NGINX = """\
daemon off; master_process off; pid %(dir)s/nginx.pid; error_log %(dir)s/nginx.err;
events { worker_connections 1024; }
http {
  access_log off; client_max_body_size 0; client_body_temp_path %(dir)s/nginx-body; proxy_temp_path %(dir)s/nginx-proxy;
  fastcgi_temp_path %(dir)s/nginx-fastcgi; uwsgi_temp_path %(dir)s/nginx-uwsgi; scgi_temp_path %(dir)s/nginx-scgi;
  upstream nodes { %(servers)s }
  server { listen 127.0.0.1:%(port)d; location / { proxy_pass http://nodes; proxy_http_version 1.1; } }
}
"""


class _Installed(ABC):
    """A program with a configuration, in the foreground."""

    name = ""

    def __init__(self, ports: list[int], directory: Path) -> None:
        self._program = program(self.name)
        self._directory, self._ports = directory, ports
        self.port = free_port()
        self._daemon: Daemon | None = None

    async def start(self) -> None:
        self._daemon = Daemon(self.name, self._command(), self._directory, **self._environment())
        for _ in range(500):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise Skipped(f"{self.name} did not start: {self._daemon.said.read_text()[-2000:]}")

    async def stop(self) -> None:
        if self._daemon is not None:
            await asyncio.to_thread(self._daemon.kill)

    @abstractmethod
    def _command(self) -> list[str]:
        """Return what starts it."""

    def _environment(self) -> dict[str, str]:
        return {}


class HAProxy(_Installed):
    """HAProxy with the project's own configuration."""

    name = "haproxy"

    def _command(self) -> list[str]:
        return [self._program, "-db", "-f", str(ROOT / "deploy" / "haproxy" / "haproxy.cfg")]

    def _environment(self) -> dict[str, str]:
        nodes = {f"SLUICE_NODE_{number}": f"127.0.0.1:{port}" for number, port in enumerate(self._ports, 1)}
        binds = {"BIND": self.port, "WATCH_BIND": free_port()}
        return {**{f"SLUICE_PROXY_{name}": f"127.0.0.1:{port}" for name, port in binds.items()}, **nodes}


class Nginx(_Installed):
    """nginx, which asks nobody whether it is ready."""

    name = "nginx"

    def _command(self) -> list[str]:
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in self._ports)
        conf = self._directory / "nginx.conf"
        conf.write_text(_NGINX % {"dir": self._directory, "servers": servers, "port": self.port})
        return [self._program, "-c", str(conf)]


KINDS = {"haproxy": HAProxy, "nginx": Nginx}


def program(name: str) -> str:
    """Return where `name` is installed; SLUICE_TEST_HAPROXY and the like name one that is elsewhere."""
    found = os.environ.get(f"SLUICE_TEST_{name.upper()}") or shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if not found:
        raise Skipped(f"{name} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
