"""Models: what a job is, as values that never change.

    waiting ──► working ──► done │ error
       │           └──► cancelling ──► cancelled
       └──► cancelled

Moments are Unix seconds, UTC. Source: Tinybird docs, "Jobs API".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Status(StrEnum):
    """Where a job is on its way; the values are the wire's words."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    ERROR = "error"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        """Whether a job stays there: clients stop asking."""
        return self in _ENDS


UNSEEN: Final = "audit"
"""The kind of the jobs that are the gateway's own affair: no list and no log of jobs has them."""

_ENDS: Final = frozenset({Status.DONE, Status.ERROR, Status.CANCELLED})

# A mutation of the server that has begun is not taken back by halves: such a job is cancelled while it waits, or not.
_NOT_CANCELLABLE_AT_WORK: Final = frozenset({"delete_data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a job is asked to be. The mappings are JSON, and not to be modified."""

    workspace_id: str
    kind: str  # "import", "delete_data", "populateview", "copy", "quarantine_replay", UNSEEN
    spec: Mapping[str, Any] = field(default_factory=dict)  # what to do; never changes
    shown: Mapping[str, Any] = field(default_factory=dict)  # extra fields of the wire object, from the beginning
    token_id: str = ""
    request_id: str = ""
    datasource_id: str = ""
    datasource_name: str = ""
    pipe_id: str = ""
    pipe_name: str = ""
    place: str = ""  # "": any worker; else only one of that data directory, for it needs a file there
    id: str = ""  # a UUID that was used already, to name a file perhaps; "": a new one


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job at one moment. The mappings are JSON, and not to be modified."""

    id: str
    workspace_id: str
    kind: str
    status: Status
    token_id: str
    request_id: str
    datasource_id: str  # "" if none
    datasource_name: str
    pipe_id: str
    pipe_name: str
    spec: Mapping[str, Any]
    state: Mapping[str, Any]  # the last checkpoint; {} at first
    shown: Mapping[str, Any]
    progress: float  # 0 to 100
    error: str  # "" unless it failed
    errors: tuple[str, ...]
    place: str
    attempts: int  # how often it was taken up since it last came further
    failures: int  # how often its code failed and was to be tried again, since it last came further
    created_at: float
    started_at: float | None
    updated_at: float
    lease: str = field(default="", repr=False)  # who may write: a text that only the one who took it knows; "": nobody

    @property
    def is_cancellable(self) -> bool:
        """Whether a request to cancel it would be taken."""
        return self.status is Status.WAITING or (
            self.status is Status.WORKING and self.kind not in _NOT_CANCELLABLE_AT_WORK
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which jobs to list; None: whatever it is. Words that mean nothing find nothing."""

    kind: str | None = None
    status: str | None = None
    pipe_id: str | None = None
    pipe_name: str | None = None
    created_after: float | None = None  # the moments themselves are in
    created_before: float | None = None
