"""Reads: who called which endpoint, or ran which query, on its way to the tables that people query.

As in `oplog`, whoever answers says so in one call, which appends to a list and returns; `control.readlog` writes the
rows. Best effort: while ClickHouse is away the newest `ENTRIES_MAX` are kept.

Source: service-datasources.md, "pipe_stats_rt".
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.telemetry.logs import Redactor
from gateway.telemetry.oplog import harmless

ENTRIES_MAX: Final = 20_000
"""Kept while they cannot be written; an entry takes about a kilobyte."""

QUERY_API: Final = "query_api"
"""What the Query API is called where the pipe of an endpoint would stand."""

_URL_CHARS_MAX: Final = 4000
_VALUE_CHARS_MAX: Final = 1000
_VALUES_MAX: Final = 100
_TOKEN: Final = re.compile(r"(?<=[?&])token=[^&#]*&?", re.IGNORECASE)

_hidden: Final = Redactor().text


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One request that was answered.

    Attributes:
        workspace_id: whose log it goes to.
        pipe_id, pipe_name: the endpoint, or `QUERY_API`.
        token_id, token_name: who asked.
        at: Unix seconds, of its beginning.
        seconds: it took.
        status: of HTTP; 499 if the client did not wait.
        error: the sentence; "" if it went well.
        request_id: of HTTP.
        method: of HTTP.
        url: as it was asked for; a token in it is taken out.
        parameters: that templates saw.
        user_agent, client_ip: "" if not known.
        rows_read, bytes_read, result_rows, memory_bytes: as ClickHouse says.
        tags: of the pipe.
    """

    workspace_id: str
    pipe_id: str
    pipe_name: str
    token_id: str
    token_name: str
    at: float
    seconds: float
    status: int
    error: str
    request_id: str
    method: str
    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    user_agent: str = ""
    client_ip: str = ""
    rows_read: int = 0
    bytes_read: int = 0
    result_rows: int = 0
    memory_bytes: int = 0
    tags: tuple[str, ...] = ()


class ReadsLog:
    """See the module. One per process, used from its loop."""

    def __init__(self) -> None:
        self._entries: deque[Read] = deque()
        self.forgotten = 0
        """Entries that were pushed out by newer ones before they could be written."""

    def __len__(self) -> int:
        """Return how many entries there are to write."""
        return len(self._entries)

    def record(self, entry: Read) -> None:
        """Take `entry`."""
        if len(self._entries) >= ENTRIES_MAX:
            self._entries.popleft()
            self.forgotten += 1
        self._entries.append(entry)

    def take(self, entries_max: int) -> list[Read]:
        """Return the oldest entries, and forget them; texts are cut, and what looks like a secret is taken out."""
        return [_harmless(self._entries.popleft()) for _ in range(min(entries_max, len(self._entries)))]

    def put_back(self, entries: list[Read]) -> None:
        """Keep entries that could not be written, before those that came meanwhile; the oldest go if it is too many."""
        room = max(0, ENTRIES_MAX - len(self._entries))
        self.forgotten += max(0, len(entries) - room)
        self._entries.extendleft(reversed(entries[max(0, len(entries) - room) :]))


def _harmless(entry: Read) -> Read:
    parameters = {
        name[:_VALUE_CHARS_MAX]: _hidden(value[:_VALUE_CHARS_MAX])
        for name, value in list(entry.parameters.items())[:_VALUES_MAX]
    }
    url = _hidden(_TOKEN.sub("", entry.url)[:_URL_CHARS_MAX]).rstrip("?&")
    return replace(
        entry,
        url=url,
        error=harmless(entry.error),
        parameters=parameters,
        user_agent=_hidden(entry.user_agent[:_VALUE_CHARS_MAX]),
    )
