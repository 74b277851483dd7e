"""Waiting: until another process has done something. There is no clock to turn there, so this looks again and again."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_PAUSE_SECONDS = 0.02


def until(look: Callable[[], _T], is_it: Callable[[_T], object] = bool, *, seconds_max: float = 30.0) -> _T:
    """Return what `look` finds once it is as wanted; an AssertionError shows what was there instead."""
    deadline = time.monotonic() + seconds_max
    while not is_it(found := look()):
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(_PAUSE_SECONDS)
    return found
