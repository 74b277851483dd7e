"""Cron: when something is to be done again and again. Five fields, UTC; what they mean is `cronsim`'s to say.

Beside numbers, lists, ranges and steps it knows names (`jan`, `mon`), `L` and `LW` for the last day and the last
weekday of a month, `5L` for its last Friday and `1#2` for its second Monday.
"""

import math
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

_FIELDS: Final = 5  # a sixth, of seconds, is refused: a copy is not that quick
_CHARS_MAX: Final = 256

# No matter which: whether an expression ever comes true does not depend on when one asks.
_ANY_MOMENT: Final = datetime(2024, 1, 1, tzinfo=UTC)


def is_cron(text: str) -> bool:
    """Say whether `text` is a cron expression of five fields that comes true some day."""
    if len(text) > _CHARS_MAX or len(text.split()) != _FIELDS:
        return False
    try:
        next(CronSim(text, _ANY_MOMENT))
    except (CronSimError, StopIteration):
        return False
    return True


def next_time(cron: str, after: float) -> float:
    """Return the first moment (Unix seconds) behind `after` at which `cron`, which is one, comes true."""
    return next(CronSim(cron, datetime.fromtimestamp(after, UTC))).timestamp()


def last_time(cron: str, now: float) -> float:
    """Return the last moment (Unix seconds) at or before `now` at which `cron`, which is one, came true."""
    soon = datetime.fromtimestamp(math.floor(now) + 1, UTC)  # it looks behind whole seconds
    return next(CronSim(cron, soon, reverse=True)).timestamp()
