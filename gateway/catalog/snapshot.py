"""Snapshot: the record in memory, and `Catalog`, which keeps it fresh.

A `Snapshot` never changes. A newer one is made from it and from what changed, and shares with it every object that did
not; one changed token among 100 000 costs a copy of one dictionary, not a load.

`Catalog` asks the database how far it is every `poll_seconds`, and whenever somebody waits in `refresh`. If the
database does not answer, the last snapshot stays in use: it is old, not wrong, and events keep being taken.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import structlog

from gateway.catalog.models import BuiltinToken, Datasource, Pipe, Token, Variable, Workspace
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable, reason_of

_log = structlog.get_logger(__name__)

_Resource = TypeVar("_Resource", Workspace, Datasource, Pipe, Variable, Token)
_Named = TypeVar("_Named", Datasource, Pipe, Variable)

_KINDS: Final = ("workspaces", "datasources", "pipes", "variables", "tokens")


@dataclass(frozen=True, slots=True)
class Gone:
    """Something that was dropped: the name of its table, and its id."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened up to `version`: since an earlier one, or, if complete, since the beginning.

    What is in a dropped workspace is gone with it, and not listed.
    """

    version: int
    is_complete: bool = False
    workspaces: tuple[Workspace, ...] = ()
    datasources: tuple[Datasource, ...] = ()
    pipes: tuple[Pipe, ...] = ()
    variables: tuple[Variable, ...] = ()
    tokens: tuple[Token, ...] = ()
    gone: tuple[Gone, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that exists, at one moment. The mappings are not to be modified."""

    version: int = -1
    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    datasources: Mapping[str, Datasource] = field(default_factory=dict)
    pipes: Mapping[str, Pipe] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)
    _workspaces_by_name: Mapping[str, Workspace] = field(default_factory=dict, repr=False)
    _datasources_by_name: Mapping[tuple[str, str], Datasource] = field(default_factory=dict, repr=False)
    _pipes_by_name: Mapping[tuple[str, str], Pipe] = field(default_factory=dict, repr=False)
    _variables_by_name: Mapping[tuple[str, str], Variable] = field(default_factory=dict, repr=False)
    _builtin_tokens: Mapping[tuple[str, BuiltinToken], Token] = field(default_factory=dict, repr=False)

    def workspace(self, name_or_id: str) -> Workspace | None:
        """Return a workspace, or None."""
        return self._workspaces_by_name.get(name_or_id) or self.workspaces.get(name_or_id)

    def datasource(self, workspace_id: str, name_or_id: str) -> Datasource | None:
        """Return a data source of this workspace, or None; never one of another workspace."""
        return _found(self._datasources_by_name, self.datasources, workspace_id, name_or_id)

    def datasources_of(self, workspace_id: str) -> list[Datasource]:
        """Return the data sources of a workspace, in the order of their names; looks at all there are."""
        mine = (datasource for datasource in self.datasources.values() if datasource.workspace_id == workspace_id)
        return sorted(mine, key=lambda datasource: datasource.name)

    def pipe(self, workspace_id: str, name_or_id: str) -> Pipe | None:
        """Return a pipe of this workspace, or None; never one of another workspace."""
        return _found(self._pipes_by_name, self.pipes, workspace_id, name_or_id)

    def pipes_of(self, workspace_id: str) -> list[Pipe]:
        """Return the pipes of a workspace, in the order of their names; looks at all there are."""
        return sorted(
            (pipe for pipe in self.pipes.values() if pipe.workspace_id == workspace_id), key=lambda pipe: pipe.name
        )

    def variable(self, workspace_id: str, name: str) -> Variable | None:
        """Return a variable of this workspace, or None."""
        return self._variables_by_name.get((workspace_id, name))

    def variables_of(self, workspace_id: str) -> list[Variable]:
        """Return the variables of a workspace, in the order of their names; looks at all there are."""
        return sorted(
            (each for each in self.variables.values() if each.workspace_id == workspace_id), key=lambda each: each.name
        )

    def builtin_token(self, workspace_id: str, role: BuiltinToken) -> Token | None:
        """Return the token a workspace came with, or None if there is no such workspace."""
        return self._builtin_tokens.get((workspace_id, role))

    def user_token(self) -> Token | None:
        """Return the account's own token; its workspace is the first one. None only before the first load."""
        return next((token for (_, role), token in self._builtin_tokens.items() if role is BuiltinToken.USER), None)

    def after(self, changes: Changes) -> "Snapshot":
        """Return the snapshot after `changes`; equal objects stay the same objects."""
        if changes.version == self.version and not changes.is_complete:
            return self
        gone: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for each in changes.gone:
            gone[each.kind].add(each.id)
        dropped, whole = gone["workspaces"], changes.is_complete
        workspaces = _merged(self.workspaces, changes.workspaces, dropped, dropped, is_complete=whole)
        datasources = _merged(self.datasources, changes.datasources, gone["datasources"], dropped, is_complete=whole)
        pipes = _merged(self.pipes, changes.pipes, gone["pipes"], dropped, is_complete=whole)
        variables = _merged(self.variables, changes.variables, gone["variables"], dropped, is_complete=whole)
        tokens = _merged(self.tokens, changes.tokens, gone["tokens"], dropped, is_complete=whole)
        # A built-in token goes only with its workspace, so the others need not be looked through again.
        kept = {} if whole else {key: token for key, token in self._builtin_tokens.items() if key[0] in workspaces}
        builtins = {(token.workspace_id, token.builtin): token for token in changes.tokens if token.builtin}
        return Snapshot(
            changes.version,
            workspaces,
            datasources,
            pipes,
            variables,
            tokens,
            {workspace.name: workspace for workspace in workspaces.values()},
            self._datasources_by_name if datasources is self.datasources else _by_name(datasources),
            self._pipes_by_name if pipes is self.pipes else _by_name(pipes),
            self._variables_by_name if variables is self.variables else _by_name(variables),
            kept | builtins,
        )


class ChangeSource(Protocol):
    """Where changes come from; `CatalogStore` is one."""

    async def changes_since(self, version: int | None) -> Changes:
        """Return what changed after `version`; everything for None."""


@dataclass(frozen=True, slots=True)
class CatalogOptions:
    """How often the database is asked."""

    # A change on any node is known to all within a second: this, and the time a check takes.
    poll_seconds: float = 0.5

    # A change on this node is known sooner: a look for news, which asks nobody, and the time a check takes.
    look_seconds: float = 0.05

    # However many wait in `refresh`, so that a flood of unknown names cannot hammer the database.
    check_interval_seconds_min: float = 0.05

    # Who only reads does not wait longer for a database that is reached and says nothing.
    reading_waits_seconds_max: float = 5.0


class Catalog:
    """The present snapshot. Owns it, and alone replaces it."""

    def __init__(
        self,
        source: ChangeSource,
        clock: Clock,
        options: CatalogOptions | None = None,
        mark: Callable[[], bytes | None] = lambda: None,
        *,
        is_told_all: bool = False,
    ) -> None:
        """Keep what `source` says; nothing is loaded before `start`.

        Args:
            source: where changes come from.
            clock: for the pace of the checks.
            options: see there.
            mark: returns what is another as soon as this node changed something; None if that cannot be told.
            is_told_all: no other node can.
        """
        self._source = source
        self._clock = clock
        self._mark = mark
        self._is_told_all = is_told_all
        self._asking: set[asyncio.Task[None]] = set()
        self._marked: bytes | None = None
        self._options = options or CatalogOptions()
        self._snapshot = Snapshot()
        self._is_closed = False
        self._lock = asyncio.Lock()
        # Checks are numbered: the last one begun, the last one that came to an end, and how that one ended.
        self._begun = 0
        self._ended = 0
        self._failure: Unavailable | None = None
        self._begun_at = -math.inf
        self._fresh_at = -math.inf

    @property
    def snapshot(self) -> Snapshot:
        """What exists, as far as is known. Never waits."""
        return self._snapshot

    def age_seconds(self) -> float:
        """Return for how long the database has not been heard: the most by which the snapshot may be behind."""
        return self._clock.monotonic() - self._fresh_at

    async def start(self) -> None:
        """Load everything.

        Raises:
            Unavailable: the database does not answer.
        """
        await self.refresh()

    async def run(self) -> None:
        """Keep the snapshot fresh, until cancelled or closed. The owner's task group runs it."""
        was_stale = False
        while not self._is_closed:
            await self._turn()
            try:
                await self.refresh()
            except Unavailable as error:
                if not was_stale:
                    _log.warning("catalog.stale", reason=reason_of(error), version=self._snapshot.version)
                was_stale = True
            else:
                if was_stale:
                    _log.info("catalog.fresh", version=self._snapshot.version)
                was_stale = False

    async def _turn(self) -> None:
        """Return when it is time to ask again: at the next turn, or when this node changed something."""
        if self._mark() is None or self._failure is not None:
            await self._clock.sleep(self._options.poll_seconds)
            return
        until = self._clock.monotonic() + self._options.poll_seconds
        while self._mark() == self._marked and (remaining := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(self._options.look_seconds, remaining))

    async def refresh(self) -> None:
        """Return when the snapshot holds every change committed before this call.

        All who wait share one check, which begins after the last of them came; checks are at least
        `check_interval_seconds_min` apart.

        Raises:
            Unavailable: the database does not answer; the snapshot stays as it was.
        """
        begun_before = self._begun
        async with self._lock:
            # A check already under way when the caller came may have looked too early for it: only a later one counts.
            if self._ended <= begun_before and not self._is_closed:
                await self._check()
            if self._failure is not None:
                raise Unavailable(str(self._failure)) from self._failure.__cause__

    async def refresh_if_told(self, *, ask: bool) -> None:
        """Return as `refresh` does, without asking the database when it is known that nothing changed.

        While the database does not answer, what is known has to do: reading goes on.

        Args:
            ask: ask also about what others may have changed without a word; polling finds it within a second.
        """
        mark = self._mark()
        if self._failure is not None or (mark == self._marked and (self._is_told_all or not ask)):
            return
        is_waiting = self._begun > self._ended
        if is_waiting and self._clock.monotonic() - self._begun_at > self._options.reading_waits_seconds_max:
            return
        asking = asyncio.ensure_future(self._ask())
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        await asyncio.wait([asking], timeout=self._options.reading_waits_seconds_max)

    async def _ask(self) -> None:
        with suppress(Unavailable):
            await self.refresh()

    async def aclose(self) -> None:
        """Ask the database no more; `run` ends at its next turn. Safe twice."""
        self._is_closed = True

    async def _check(self) -> None:
        earliest = self._begun_at + self._options.check_interval_seconds_min
        wait_seconds = earliest - self._clock.monotonic()
        if wait_seconds > 0:
            await self._clock.sleep(wait_seconds)
        self._begun += 1
        self._begun_at = self._clock.monotonic()
        known = None if self._snapshot.version < 0 else self._snapshot.version
        mark = self._mark()  # told when it is committed: what is read after this look has all that it tells of
        try:
            self._snapshot = self._snapshot.after(await self._source.changes_since(known))
        except Unavailable as error:
            self._failure = error
        else:
            self._failure = None
            self._fresh_at = self._begun_at
            self._marked = mark
        # Not reached by a check that was cancelled: the next in line then checks for itself.
        self._ended = self._begun


def _merged(
    old: Mapping[str, _Resource],
    changed: tuple[_Resource, ...],
    gone: AbstractSet[str],
    dropped_workspaces: AbstractSet[str],
    *,
    is_complete: bool,
) -> Mapping[str, _Resource]:
    """Return `old` with what changed and without what is gone; `old` itself if that is the same."""
    if not (changed or gone or dropped_workspaces or is_complete):
        return old
    merged = {} if is_complete else dict(old)
    for resource_id in gone:
        merged.pop(resource_id, None)
    if dropped_workspaces:
        merged = {each.id: each for each in merged.values() if _workspace_of(each) not in dropped_workspaces}
    for new in changed:
        known = old.get(new.id)
        merged[new.id] = new if known is None or known != new else known
    return merged


def _workspace_of(resource: Workspace | Datasource | Pipe | Variable | Token) -> str:
    return resource.id if isinstance(resource, Workspace) else resource.workspace_id


def _by_name(resources: Mapping[str, _Named]) -> Mapping[tuple[str, str], _Named]:
    return {(each.workspace_id, each.name): each for each in resources.values()}


def _found(
    by_name: Mapping[tuple[str, str], _Named], by_id: Mapping[str, _Named], workspace_id: str, name_or_id: str
) -> _Named | None:
    found = by_name.get((workspace_id, name_or_id))
    if found is None:
        found = by_id.get(name_or_id)
        if found is not None and found.workspace_id != workspace_id:
            return None
    return found
