"""Process: what the processes of the gateway have in common: how they start, are told to stop, and do without."""

import asyncio
import gc
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import Final

from gateway.core.parent import when_parent_is_gone

EXIT_CONFIGURATION: Final = 2
"""The exit code of who cannot start with these settings: to start it again would not help."""


class Stopping:
    """Why and when to stop: a signal, or the end of stdin: the parent is gone. A second signal ends at once."""

    def __init__(self, *, has_parent: bool) -> None:
        """Listen from now on, in the running loop."""
        self.is_orphan = False
        self._event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        if has_parent:
            when_parent_is_gone(self._orphaned)

    async def wait(self) -> None:
        """Return when it is time to stop."""
        await self._event.wait()

    def _signalled(self) -> None:
        if self._event.is_set():
            os._exit(1)
        self._event.set()

    def _orphaned(self) -> None:
        self.is_orphan = True
        self._event.set()


def hide(*names: str) -> None:
    """Say to this process that these modules are not installed: libraries import them if they can, and we need none.

    pandas and numpy come with the embedded engine, and Arrow looks for them: half a second and 60 MB in the middle of
    a request, and a thread for every CPU.
    """
    sys.meta_path.insert(0, _Hidden(frozenset(names)))


class _Hidden(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        del path, target
        if fullname in self._names:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)


def preload(module: str) -> None:
    """Import `module` and all it needs, ahead of its use. What is wrong with it is met again there, and said there.

    What an import makes stays, so the collector is kept from looking through it, meanwhile and later.
    """
    gc.disable()
    with suppress(Exception):
        import_module(module)
    gc.freeze()
    gc.enable()


def keep_to_one_cpu(index: int) -> None:
    """Keep this process, its threads to come included, on one of the CPUs it may use: another for each `index`.

    The threads of a worker hand the interpreter's lock to each other with every group commit. Between two CPUs that
    costs more than all that is done with it: one-row requests took 79 to 96 µs of CPU on two idle ones and 47 to 59 on
    one. Nothing happens where the system does not know of it.
    """
    try:
        allowed = sorted(os.sched_getaffinity(0))
        # Another gateway on this machine begins elsewhere, most likely.
        os.sched_setaffinity(0, {allowed[(os.getppid() + index) % len(allowed)]})
    except (AttributeError, OSError):
        return
