"""Parent: the two words between a child process and the supervisor that holds its pipes.

child → parent    stdout: a line `ready <port>`; the other lines are passed on to people
parent → child    stdin: one line of orders, then silence; its end means that the parent is gone
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final

READY: Final = b"ready "


def say_ready(port: int) -> None:
    """Tell the parent that this process answers on `port`; one that is gone hears nothing."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{READY.decode()}{port}\n")
        sys.stdout.flush()


def when_parent_is_gone(callback: Callable[[], None], descriptor: int = 0) -> None:
    """Have the running loop call `callback` once, when standard input ends."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            if os.read(descriptor, 65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        loop.remove_reader(descriptor)
        callback()

    loop.add_reader(descriptor, read)
