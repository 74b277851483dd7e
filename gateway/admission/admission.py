"""Admission: whom a request counts for, whether it may enter now, and what its sender is told.

A request takes from every bucket that is for it, or from none: who is refused has used up nothing. Requests are counted
when they come. Rows and bytes are known only when the body has been read, or the answer sent: they are charged then,
and a bucket that owes lets nobody in until it is paid, at most a minute later.

Who goes on although it is refused hears of it a moment later each time: its connections wait, and what it would send
next waits where it comes from. Otherwise refusing would take more of the CPU than the requests of others.

A limit is a node's: its workers share the buckets, so it does not matter on which of them a connection ends up.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from gateway.admission.buckets import Buckets
from gateway.admission.limits import UNITS, Limit, key_of, of_kind
from gateway.core.clock import Clock
from gateway.core.errors import RateLimited
from gateway.telemetry import tally

# A bucket holds what comes in as long, but at least one request.
_BURST_SECONDS: Final = 1.0
# Sums of times are inexact; what is less is nothing.
_NOTHING: Final = 1e-9
# Refusals of a ticket in a second that are answered at once, by each process; the others are held back.
_PROMPT_MAX: Final = 20
_HOLD_SECONDS: Final = 0.1
# Tickets kept; each is that of a token for one thing. When it is full it starts anew.
_TICKETS_MAX: Final = 65_536


class Sender(Protocol):
    """What has to be known of who sends a request."""

    @property
    def workspace_id(self) -> str:
        """The workspace of the token."""

    @property
    def token_id(self) -> str:
        """The token; empty if it is not stored: then all of its name are one."""

    @property
    def token_name(self) -> str:
        """The token's name."""

    @property
    def requests_per_second(self) -> float | None:
        """A limit that the token brings along, if any."""


class Allowance(NamedTuple):
    """What a client is told of the tightest of its limits of requests; whole numbers, as clients read them."""

    limit: int
    remaining: int
    reset_seconds: int


class _Bucket:
    """A bucket of a ticket, and the limit it stands for."""

    __slots__ = ("burst_seconds", "each_seconds", "key", "limit")

    def __init__(self, limit: Limit, key: int) -> None:
        self.limit = limit
        self.key = key
        self.each_seconds = 1.0 / limit.per_second
        self.burst_seconds = max(_BURST_SECONDS, self.each_seconds)


class Ticket:
    """The buckets that requests of one sender for one thing take from."""

    __slots__ = ("_buckets", "_charged", "_counted", "_refusals", "_refusals_from", "_room")

    def __init__(self, room: Buckets, limits: Iterable[tuple[Limit, int]]) -> None:
        """Take from the buckets in `room` that stand for `limits`, each with its key."""
        self._room = room
        self._refusals = 0
        self._refusals_from = 0.0  # monotonic
        self._buckets = [_Bucket(limit, key) for limit, key in limits]
        self._counted = [bucket for bucket in self._buckets if bucket.limit.unit == "requests"]
        self._charged = [bucket for bucket in self._buckets if bucket.limit.unit != "requests"]

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self._buckets)

    def take(self, now: float) -> Allowance | None:
        """Count a request at the moment `now` (monotonic); return what is left, None if requests have no limit.

        Raises:
            RateLimited: a bucket is empty; the request is not counted.
        """
        self.check(now)
        return self.count(now)

    def check(self, now: float) -> None:
        """Return if a request may enter at the moment `now` (monotonic).

        Raises:
            RateLimited: a bucket is empty.
        """
        look = self._room.look
        for bucket in self._buckets:
            _, owed_seconds = look(bucket.key, now)
            early_seconds = owed_seconds + bucket.each_seconds - bucket.burst_seconds
            if early_seconds > _NOTHING:
                raise refusal(bucket.limit, early_seconds, self._hold_seconds(now))

    def _hold_seconds(self, now: float) -> float:
        """Count a refusal; return how long its answer is held back."""
        if now - self._refusals_from >= 1.0:
            self._refusals_from, self._refusals = now, 0
        self._refusals += 1
        return _HOLD_SECONDS if self._refusals > _PROMPT_MAX else 0.0

    def count(self, now: float) -> Allowance | None:
        """Count the request that was checked at the moment `now`; return as `take` does."""
        tightest = None
        for bucket in self._counted:
            # Looked at again: since `check` another process may have taken from it.
            place, owed_seconds = self._room.look(bucket.key, now)
            owed_seconds += bucket.each_seconds
            self._room.put(place, bucket.key, now, owed_seconds)
            remaining = max(0, int((bucket.burst_seconds - owed_seconds + _NOTHING) / bucket.each_seconds))
            if tightest is None or remaining < tightest.remaining:
                limit = max(1, int(bucket.limit.per_second))
                tightest = Allowance(limit, remaining, max(1, math.ceil(owed_seconds)))
        return tightest

    def give_back(self, now: float) -> None:
        """Undo `take`."""
        for bucket in self._counted:
            place, owed_seconds = self._room.look(bucket.key, now)
            self._room.put(place, bucket.key, now, max(0.0, owed_seconds - bucket.each_seconds))

    def charge(self, now: float, rows: int, body_bytes: int) -> None:
        """Charge what a request that was let in turned out to be."""
        for bucket in self._charged:
            amount = rows if bucket.limit.unit == "rows" else body_bytes
            if amount:
                place, owed_seconds = self._room.look(bucket.key, now)
                self._room.put(place, bucket.key, now, owed_seconds + amount * bucket.each_seconds)


class Admission:
    """Hands out tickets, and places for queries. One per process."""

    def __init__(
        self,
        limits: Mapping[str, int],
        room: Buckets,
        clock: Clock,
        *,
        overrides: Callable[[str], Mapping[str, int]],
        moment: Callable[[], object],
        queries_max: int = 0,
    ) -> None:
        """Hold everybody to `limits`.

        Args:
            limits: by name, see `limits`.
            room: the buckets, perhaps shared with other processes.
            clock: for `now`.
            overrides: workspace id → limits of its own, which go before the others of that name; those of one token
                have `@` and its id behind it, or the name of one that is not stored.
            moment: another object as soon as those may have changed.
            queries_max: of a workspace at once in this process; 0: no limit.
        """
        self.now = clock.monotonic
        self._limits = limits
        self._room = room
        self._overrides = overrides
        self._moment = moment
        self._seen: object = None
        self._tickets: dict[tuple[str, str, str, float | None, str, str], Ticket] = {}
        self._queries_max = queries_max
        self._queries: Counter[str] = Counter()

    def ticket(self, sender: Sender, kind: str = "", resource_id: str = "") -> Ticket:
        """Return what requests of `sender` take from; those for a `kind` of thing ("datasource"), from its too."""
        moment = self._moment()
        if moment is not self._seen or len(self._tickets) >= _TICKETS_MAX:
            self._seen = moment
            self._tickets.clear()
        own = (sender.workspace_id, sender.token_id, sender.token_name, sender.requests_per_second)
        which = (*own, kind, resource_id)
        found = self._tickets.get(which)
        if found is None:
            found = self._tickets[which] = self._made(*which)
        return found

    @contextmanager
    def query(self, workspace_id: str) -> Iterator[None]:
        """Hold a place for a query of this workspace.

        Raises:
            RateLimited: as many are running as may.
        """
        running = self._queries[workspace_id]
        if self._queries_max and running >= self._queries_max:
            raise refusal(Limit("workspace", "queries", self._queries_max), 1.0, _HOLD_SECONDS)
        self._queries[workspace_id] += 1
        try:
            yield
        finally:
            self._queries[workspace_id] -= 1
            if not self._queries[workspace_id]:
                del self._queries[workspace_id]

    def _made(
        self, workspace_id: str, token_id: str, token_name: str, own: float | None, kind: str, resource_id: str
    ) -> Ticket:
        overrides = self._overrides(workspace_id)
        limits: dict[str, float] = {**self._limits, **overrides}
        for unit in UNITS:  # of this token alone
            if (alone := overrides.get(f"token.{unit}@{token_id or token_name}")) is not None:
                limits[f"token.{unit}"] = alone
        if own is not None:
            limits["token.requests"] = min(own, limits.get("token.requests") or own)
        ids = {"workspace": workspace_id, "token": token_id or f"named {token_name}"}
        if resource_id:
            ids[kind] = resource_id
        return Ticket(
            self._room,
            [
                (limit, key_of(limit.kind, limit.unit, workspace_id, of_id))
                for of_kind_, of_id in ids.items()
                for limit in of_kind(of_kind_, limits)
            ],
        )


def refusal(limit: Limit, early_seconds: float, hold_seconds: float) -> RateLimited:
    """Return what a client is told that came so much too early, and count it.

    The sentence is the one clients know (common.md §4); what it is about stands behind it if that is not requests.
    """
    tally.refused(limit.kind, limit.unit)
    seconds = max(1, math.ceil(early_seconds - _NOTHING))
    which = "" if limit.unit == "requests" else f" ({limit.unit} of this {_WORDS.get(limit.kind, limit.kind)})"
    sentence = f"Too many requests: retry after {seconds} seconds{which}"
    return RateLimited(sentence, seconds, max(1, int(limit.per_second)), hold_seconds)


_WORDS: Final = {"datasource": "Data Source"}
