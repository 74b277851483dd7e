"""Links: connections that wait for the next statement that wants the same settings.

A fresh connection costs a statement half a millisecond, mostly in the first query on it. So one that has run nothing
but reads and inserts goes back here, under what was set on it: database, settings, `readonly`. A statement gets one
back only if it wants exactly that. A read-only connection takes no settings any more, so what runs on it carries its
id in a comment. Whatever else may stay on a connection (`SET`, `USE`, temporary tables, the value of
a placeholder, a failure half-way) keeps it out.

Belongs to the loop.
"""

from collections import OrderedDict

from gateway.engine.call import VOLATILE, Call
from gateway.engine.library import Link

Key = tuple[bytes, tuple[tuple[str, bytes], ...], int]


def key_of(call: Call) -> Key | None:
    """Return what `call` wants set on its connection; None if that could not be used again."""
    if call.readonly == 1 and not call.tag:  # not even the next statement's id could be set
        return None
    settings = tuple(sorted((name, value) for name, value in call.settings.items() if name not in VOLATILE))
    return call.database, settings, call.readonly


class Links:
    """Idle connections, the latest used first."""

    def __init__(self, idle_max: int) -> None:
        self._idle_max = idle_max
        self._idle: OrderedDict[Link, Key] = OrderedDict()

    def take(self, key: Key | None) -> Link | None:
        """Return a connection on which `key` is set, no longer idle, if there is one."""
        link = next((link for link, its_key in reversed(self._idle.items()) if its_key == key), None)
        if link is not None:
            del self._idle[link]
        return link

    def give(self, key: Key | None, link: Link) -> None:
        """Keep `link`, or close it if nobody will want it; the one not used for longest makes room."""
        if key is None:
            link.close()
            return
        self._idle[link] = key
        if len(self._idle) > self._idle_max:
            self._idle.popitem(last=False)[0].close()

    def close(self) -> None:
        """Close them all."""
        while self._idle:
            self._idle.popitem()[0].close()
