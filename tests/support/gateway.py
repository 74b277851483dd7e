"""A real `sluice serve`, for tests that use it as its users do: over HTTP, with the embedded engine behind it.

    from tests.support.gateway import shared_gateway, show_gateway_log  # noqa: F401  fixtures

    def test_it_is_ready(gateway): ...

One gateway serves the whole test session, whichever modules ask for it, and is ended with it. Tests share it, so each
makes its own data source; what it logged during a test is shown if the test fails.
"""

import asyncio
import ctypes
import http.client
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from gateway.auth.token import mint
from gateway.catalog import CatalogStore, Token
from gateway.catalog.store import FIRST_WORKSPACE
from gateway.core.clock import SystemClock
from tests.support.waiting import until

WORKERS = 2
BODY_BYTES_MAX = 10_000_000  # the default

_READY_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 45.0
_ROWS_SECONDS_MAX = 20.0
_JOB_SECONDS_MAX = 60.0
_SIGNATURE_CHARS_MIN = 20  # shorter texts are no tokens, and are in many words
_ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> str:
        """The sentence of an error; checks what every error has to look like."""
        assert self.status >= 400, f"{self.status}: {self.text}"
        assert self.headers["Content-Type"].startswith("application/json")
        sentence = self.json["error"]
        assert isinstance(sentence, str)
        assert sentence
        return sentence

    @property
    def counts(self) -> tuple[int, int, int]:
        """Status, successful rows, quarantined rows of an answer to events."""
        assert self.status in {200, 202}, f"{self.status}: {self.text}"
        return self.status, self.json["successful_rows"], self.json["quarantined_rows"]


class Gateway:
    """One `sluice serve` with its data directory; `start` it and, whatever happens, `end` it."""

    def __init__(self, directory: Path, *options: str, database_url: str = "") -> None:
        """Prepare one in `directory`; without a `database_url` its metadata is there too."""
        self.data_dir = directory / "data"
        self.database_url = database_url or f"sqlite+aiosqlite:///{self.data_dir / 'metadata.db'}"
        self.log = directory / "gateway.log"
        self.port = 0
        self.token = ""
        self.tokens: dict[str, str] = {}
        self.tls: ssl.SSLContext | None = None  # what to reach it with, if it speaks HTTPS
        self.shown: set[str] = set()  # the signatures of all tokens that requests had
        self._options = options
        if database_url:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            secret = secrets.token_hex(16)
            (self.data_dir / "secret").write_text(secret)
            self._options = ("--database-url", database_url, "--secret", secret, *options)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)

    # Life

    def start(self) -> None:
        """Start it, and return when it is ready; on the same port as before, if there was one."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "gateway", "serve", "--data-dir", str(self.data_dir)),
            *("--port", str(self.port), "--workers", str(WORKERS), "--log-format", "text", *self._options),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=_ROOT,
                env={name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, nothing that could be locked
            )
        try:
            self.port = self._said_port()
            self._await_ready()
            self.tokens = self.get("/tokens", token="").json
        except BaseException:
            self.end()
            raise
        self.token = self.tokens["workspace_admin_token"]

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(_STOP_SECONDS_MAX)
        self.end()
        return code

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """kill -9 of every process of it at once."""
        assert self._process is not None
        children = _children(self._process.pid)
        for pid in (self._process.pid, *children):
            _kill(pid)
        self.end()

    def kill_worker(self, index: int = 0) -> None:
        """kill -9 of one worker; its supervisor starts another."""
        _kill(self.worker_pids()[index])

    def end(self) -> None:
        """Make sure that nothing of it runs any more. Safe twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                for pid in (*_children(process.pid), process.pid):
                    _kill(pid)
                process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def worker_pids(self) -> list[int]:
        """The pids of the workers that run now."""
        assert self._process is not None
        return [pid for pid in _children(self._process.pid) if b"worker-" in _command_line(pid)]

    def job_worker_pids(self) -> list[int]:
        """The pids of the processes that do jobs."""
        assert self._process is not None
        return [pid for pid in _children(self._process.pid) if b"jobs-" in _command_line(pid)]

    def engine_cpu_seconds(self) -> float:
        """Processor time of the embedded engine."""
        assert self._process is not None
        return sum(_cpu_seconds(pid) for pid in _children(self._process.pid) if b"engine" in _command_line(pid))

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def memory_bytes(self) -> int:
        """Resident memory of all workers together."""
        return sum(_status_bytes(pid, "VmRSS") for pid in self.worker_pids())

    def peak_memory_bytes(self) -> int:
        """The most that any worker had resident since `forget_peak`."""
        return max(_status_bytes(pid, "VmHWM") for pid in self.worker_pids())

    def forget_peak(self) -> None:
        for pid in self.worker_pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """Processor time of all workers together; unlike the clock, it does not depend on what else runs."""
        return sum(_cpu_seconds(pid) for pid in self.worker_pids())

    # Requests

    def connect(self, timeout: float = 30.0) -> socket.socket:
        """A bare connection, for what no HTTP client would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def http(self, timeout: float = 30.0) -> http.client.HTTPConnection:
        """A connection for requests, not yet open."""
        if self.tls is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self,
        method: str,
        target: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
    ) -> Answer:
        """One request on a connection of its own, with exactly these headers and the token (None: admin, "": none)."""
        token = self.token if token is None else token
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        signature = token.rpartition(".")[2]
        if len(signature) >= _SIGNATURE_CHARS_MIN:
            self.shown.add(signature)
        connection = self.http(timeout)
        try:
            connection.request(method, target, body, {**sent, **(headers or {})})
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
            assert not (answer.status >= 400 and token and token in answer.text), "an error repeats the token"
            return answer
        finally:
            connection.close()

    def get(self, path: str, *, token: str | None = None, **params: str) -> Answer:
        return self.request("GET", with_query(path, params), token=token)

    def post(self, path: str, body: Any = None, *, token: str | None = None, **params: str) -> Answer:
        return self.request("POST", with_query(path, params), body, token=token)

    def post_events(
        self, name: str, body: Any, headers: Mapping[str, str] | None = None, *, token: str | None = None, **params: str
    ) -> Answer:
        """POST /v0/events; `body` is bytes as they are, or objects that become lines."""
        if isinstance(body, list):
            body = b"\n".join(orjson.dumps(each) for each in body)
        return self.request("POST", with_query("/v0/events", {"name": name, **params}), body, headers, token=token)

    def sql(self, query: str, *, token: str | None = None) -> list[dict[str, Any]]:
        """Rows of a query."""
        answer = self.get("/v0/sql", token=token, q=f"{query} FORMAT JSON")
        assert answer.status == 200, f"{answer.status}: {answer.text}"
        return answer.json["data"]

    def count(self, name: str) -> int:
        return int(self.sql(f"SELECT count() AS n FROM {name}")[0]["n"])

    def await_count(self, name: str, rows: int) -> int:
        """Wait until `name` has at least so many rows; return how many it has."""
        deadline = time.monotonic() + _ROWS_SECONDS_MAX
        while (found := self.count(name)) < rows and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def job(self, job_id: str, **params: str) -> dict[str, Any]:
        """A job, as it is now."""
        answer = self.get(f"/v0/jobs/{job_id}", **params)
        assert answer.status == 200, f"{answer.status}: {answer.text}"
        return answer.json

    def await_job(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """Wait until a job has one of `statuses`, or has ended if none is given; return it."""
        wanted = statuses or ("done", "error", "cancelled")
        return until(lambda: self.job(job_id), lambda job: job["status"] in wanted, seconds_max=_JOB_SECONDS_MAX)

    # Things to test with

    def new_name(self, prefix: str = "events") -> str:
        """A name nobody has."""
        return f"{prefix}_{next(self._names)}"

    def create_datasource(self, schema: str, name: str = "", **params: str) -> str:
        """Make a data source from a schema; return its name."""
        name = name or self.new_name()
        answer = self.post("/v0/datasources", name=name, schema=schema, **params)
        assert answer.status == 200, f"{answer.status}: {answer.text}"
        return name

    def create_workspace(self, name: str = "") -> dict[str, Any]:
        """Make a workspace, as a command line does; return what it is told: `id`, `name`, `token` and more."""
        name = name or self.new_name("workspace")
        answer = self.request("POST", with_query("/v1/workspaces", {"name": name}), token=self.tokens["user_token"])
        assert answer.status == 200, f"{answer.status}: {answer.text}"
        return answer.json

    def drop_workspace(self, which: str) -> Answer:
        """Drop a workspace, as a command line does."""
        path = with_query(f"/v1/workspaces/{which}", {"hard_delete_confirmation": "yes"})
        return self.request("DELETE", path, token=self.tokens["user_token"])

    def datasource_id(self, name: str) -> str:
        return self.get(f"/v0/datasources/{name}").json["id"]

    def make_token(self, *scopes: str) -> str:
        """Make a token with `scopes`, resources by id, as the Tokens API will: in the catalog, from outside."""

        async def make(store: CatalogStore, workspace_id: str) -> Token:
            async with store.change() as change:
                return await change.create_token(workspace_id, secrets.token_hex(8), scopes)

        made = self.in_catalog(make)
        secret = (self.data_dir / "secret").read_bytes().strip()
        return mint(secret, made.workspace_id, made.id)

    def in_catalog(self, work: Callable[[CatalogStore, str], Coroutine[Any, Any, Any]]) -> Any:
        """Do `work` with the gateway's catalog and the id of its first workspace, from outside."""

        async def run() -> Any:
            store = await CatalogStore.open(self.database_url, SystemClock())
            try:
                everything = await store.list_workspaces()
                return await work(store, next(each.id for each in everything if each.name == FIRST_WORKSPACE))
            finally:
                await store.aclose()

        return asyncio.run(run())

    def _said_port(self) -> int:
        """The port in the line a person is told; a process that does not say it in time is ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        patience = threading.Timer(_READY_SECONDS_MAX, self._process.terminate)
        patience.start()
        try:
            for line in self._process.stdout:
                _, found, address = line.decode().partition(" answers at ")
                if found:
                    return int(address.rsplit(":", 1)[1])
        finally:
            patience.cancel()
        raise RuntimeError(f"sluice serve did not start:\n{self.log.read_text()}")

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while True:
            try:
                if self.get("/ready", token="").status == 200:
                    return
            except OSError:
                pass
            if not self.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"sluice serve did not become ready:\n{self.log.read_text()}")
            time.sleep(0.02)


def with_query(path: str, params: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(params)}" if params else path


_SHARED = pytest.StashKey[Gateway]()


@pytest.fixture(scope="session", name="gateway")
def shared_gateway(request: pytest.FixtureRequest) -> Gateway:
    """The gateway all tests of this session share; it may be restarted, and must be left running."""
    config = request.config
    if _SHARED not in config.stash:
        directory = TemporaryDirectory(prefix="sluice-test-")
        config.add_cleanup(directory.cleanup)
        url = ""
        if os.environ.get("SLUICE_TEST_METADATA") == "postgresql":  # the same promises, with the other database
            url = request.getfixturevalue("postgres").new_database("gateway")
        config.stash[_SHARED] = started = Gateway(Path(directory.name), database_url=url)
        config.add_cleanup(started.end)
        started.start()
    return config.stash[_SHARED]


def shared_if_started(config: pytest.Config) -> Gateway | None:
    """The shared gateway, if a test of this session asked for it and it still runs."""
    gateway = config.stash.get(_SHARED, None)
    return gateway if gateway is not None and gateway.is_alive() else None


@pytest.fixture(autouse=True, name="gateway_log")
def show_gateway_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print, for pytest to show if the test fails, what the gateway logged meanwhile."""
    if "gateway" not in request.fixturenames:
        yield
        return
    log = request.getfixturevalue("gateway").log
    before = log.stat().st_size
    yield
    with log.open("rb") as file:
        file.seek(before)
        print(file.read().decode(errors="replace"), end="")


def _die_with_parent() -> None:
    """SIGTERM for the gateway if the test process is killed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def _status_bytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
