"""Claims: what one run holds alone: its port, its data directory, and its place among the nodes that share a database.

The port is held by a socket that is bound and does not listen. The workers' sockets join it (SO_REUSEPORT), so port 0
is one number for all of them, and stays ours while workers come and go.

The directory is held by a lock (flock) that the children inherit. It is free when the last process of the run is gone:
a supervisor that was killed leaves children that still drain, and the next run waits for them instead of starting
beside them.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from gateway.config import Settings, place_of, restoring_directory
from gateway.core.clock import Clock

_RETRY_SECONDS: Final = 0.1


class PortTaken(Exception):
    """The port cannot be listened on; the message is for the operator."""


class DirectoryTaken(Exception):
    """Another run uses the data directory; the message is for the operator."""


class NodeRefused(Exception):
    """Nodes that run do not go with this one; the message is for the operator."""


def claim_port(host: str, port: int) -> socket.socket:
    """Return a socket that holds `port` of `host`, any free one for 0; close it to let go.

    Raises:
        PortTaken: somebody has it, or `host` is none of this machine's addresses.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if port:
            # SO_REUSEPORT would let us in beside another gateway, which would then answer half of our requests. Alone,
            # SO_REUSEADDR lets nobody in beside a listener, and only looks past connections that are closing.
            _bound(family, kind, protocol, address, socket.SO_REUSEADDR).close()
        return _bound(family, kind, protocol, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)
    except OSError as error:
        raise PortTaken(_port_sentence(host, port, error)) from error


def _bound(family: int, kind: int, protocol: int, address: tuple[object, ...], *options: int) -> socket.socket:
    held = socket.socket(family, kind, protocol)
    try:
        for option in options:
            held.setsockopt(socket.SOL_SOCKET, option, 1)
        held.bind(address)
    except OSError:
        held.close()
        raise
    return held


def _port_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: stop what listens there, or choose another with --port (SLUICE_PORT)"
    return f"cannot listen on {host}, port {port}: {error.strerror or error}"


async def claim_directory(data_dir: Path, clock: Clock, wait_seconds_max: float) -> int:
    """Make `data_dir` if need be, and return a descriptor that holds it; pass it to the children.

    Waits while what is left of a killed run still drains.

    Raises:
        DirectoryTaken: another run holds it.
        OSError: it cannot be made or written.
    """
    descriptor = _open_lock(data_dir)
    deadline = clock.monotonic() + wait_seconds_max
    try:
        while not _locked(descriptor):
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            if _is_alive(holder) or clock.monotonic() > deadline:
                raise DirectoryTaken(
                    f"the data directory {data_dir} is in use by process {holder or '?'}: stop it, "
                    "or choose another with --data-dir (SLUICE_DATA_DIR)"
                )
            await clock.sleep(_RETRY_SECONDS)
        if restoring_directory(data_dir).exists():
            raise DirectoryTaken(
                f"a restore into the data directory {data_dir} was not finished: repeat `sluice restore`, or empty it"
            )
    except BaseException:
        os.close(descriptor)
        raise
    _sign(descriptor)
    return descriptor


@asynccontextmanager
async def claim_place(settings: Settings, clock: Clock) -> AsyncIterator[None]:
    """Be known to the nodes that use the same database; see `catalog.presence`.

    Raises:
        NodeRefused: one of them has the same place, or another secret.
    """
    if not settings.database_url.startswith("postgresql"):
        with _agreed(Path(settings.database_url.partition(":///")[2]), settings.secret):
            yield  # and nothing is imported that takes long
        return
    from gateway.catalog.presence import NotAlone, Presence  # noqa: PLC0415

    try:
        presence = await Presence.enter(settings.database_url, place_of(settings.data_dir), settings.secret, clock)
    except NotAlone as error:
        raise NodeRefused(str(error)) from error
    assert presence is not None
    keeping = asyncio.create_task(presence.run())
    try:
        yield
    finally:
        keeping.cancel()
        await presence.aclose()


@contextmanager
def _agreed(database: Path, secret: str) -> Iterator[None]:
    """Hold, beside a file of SQLite, which secret goes with it: all who have the file open have the same one.

    Raises:
        NodeRefused: a gateway uses the file with another secret, or there is no directory for it.
        OSError: the directory of the file cannot be written.
    """
    if not database.parent.is_dir():
        raise NodeRefused(
            f"{database.parent}: there is no such directory: make it, or give another with --database-url"
        )
    mark = hashlib.blake2b(secret.encode(), digest_size=16, person=b"sluice-secret").hexdigest().encode()
    descriptor = os.open(database.with_name(database.name + ".nodes"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _locked(descriptor):  # nobody uses it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, mark, 0)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.pread(descriptor, len(mark), 0) != mark:
            raise NodeRefused(
                f"a gateway with another secret uses {database}: each would take the tokens of the other for forged. "
                "Give this one a database of its own (--database-url), or both the same secret (SLUICE_SECRET); nodes "
                "on several machines share PostgreSQL"
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claim_idle_directory(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir`, made if need be, until the block ends, so that no run begins.

    Raises:
        DirectoryTaken: a run holds it.
        OSError: it cannot be made or written.
    """
    descriptor = _open_lock(data_dir)
    try:
        if not _locked(descriptor):
            raise DirectoryTaken(f"the data directory {data_dir} is in use: stop what uses it, or choose another")
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def claim_number(data_dir: Path) -> int:
    """Return which of the `sluice worker` processes of `data_dir` this one is, as long as it lives.

    The smallest number that no live process has; so the next one to have it knows that the last is dead.

    Raises:
        OSError: the directory cannot be made or written.
    """
    directory = data_dir / "run"
    directory.mkdir(parents=True, exist_ok=True)
    for number in count():
        descriptor = os.open(directory / f"worker-{number}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        if _locked(descriptor):
            return number  # the descriptor stays open: it is the claim
        os.close(descriptor)
    raise AssertionError


def _open_lock(data_dir: Path) -> int:
    data_dir.mkdir(parents=True, exist_ok=True)
    return os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o644)


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(holder: str) -> bool:
    """Return whether `holder` is the id of a process. An unreadable one is of a run that is just starting."""
    if not holder.isdigit():
        return False
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
