"""Reading: a query of the Query API, or a call of an endpoint, from its text and parameters to its answer.

    text ── template ──► SQL ── names, pipes, fence ──► one SELECT ── engine ──► answer
                                    └ kept for the next request with the same parameters, until the catalog changes;
                                      with other parameters, `query.shapes` spares most of it

What a query reads is decided at one moment: by one snapshot of the catalog. Changes made on this node before the
request are in it; of a change on another node it may hear half a second late, but for the Query API, which asks.

Source: query.md §2; pipes.md §4.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from gateway.auth.principal import Kind, Principal
from gateway.auth.scopes import Action
from gateway.catalog import Catalog, Pipe, Snapshot, Workspace
from gateway.control.answers import AnswerCache, Kept
from gateway.control.names import Moment, Names, Params, Secrets
from gateway.control.pipe_files import CACHE_TAG
from gateway.control.sources import SourceControl
from gateway.core.clock import Clock
from gateway.core.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from gateway.query.describe import described, describing, is_describing
from gateway.query.fence import FencedQuery, fence
from gateway.query.secrecy import check_keeps_secrets
from gateway.query.service import Answer, QueryLimits, QueryService, Wanted, shown
from gateway.query.shapes import Shapes
from gateway.templates import Hints, compile_template
from gateway.templates.errors import required

# Putting more together takes long enough to be felt by others on the loop.
_INLINE_CHARS_MAX: Final = 4000

# Prepared queries kept, and the characters of all of them together.
_KEPT_MAX: Final = 4096
_KEPT_CHARS_MAX: Final = 16 * 1024 * 1024

# What a plan shows for a secret: text, and a number where it is made one.
_STAND_IN: Final = "0"

SecretValue = Callable[[Snapshot, str, str], str | None]
"""Snapshot, workspace id, name → the value of a variable; None if there is none."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to read.

    Attributes:
        who: asks.
        params: that templates see; text, or lists and objects of a JSON body.
        output: values for some of `OUTPUT_SETTINGS`.
        format: of the answer, if the query names none; spelled as the engine does.
        query_id: the engine shows the query under it.
    """

    who: Principal
    params: Params
    output: Mapping[str, int]
    format: str
    query_id: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that may be run.

    Attributes:
        fenced: the query.
        services: the service data sources in it, by the names behind `tinybird.`.
        threads: hint of a template.
        keep_seconds: how long its answer may be kept; 0: not at all.
        settings: hints of templates, as settings of the engine.
    """

    fenced: FencedQuery
    services: tuple[str, ...]
    threads: int | None
    keep_seconds: int
    settings: Mapping[str, int]


class ReadControl:
    """See the module. One per worker."""

    def __init__(
        self,
        catalog: Catalog,
        sources: SourceControl,
        queries: QueryService,
        limits: QueryLimits,
        secret: SecretValue,
        clock: Clock,
        answers: AnswerCache | None = None,
    ) -> None:
        """Read what `catalog` knows.

        Args:
            catalog: the names.
            sources: makes service data sources ready.
            queries: runs.
            limits: for every query, where a workspace has none of its own.
            secret: gives the values of variables.
            clock: for `job_timestamp`, and for how long answers are kept.
            answers: those that are kept.
        """
        self._catalog = catalog
        self._sources = sources
        self._queries = queries
        self._limits = limits
        self._secret = secret
        self._clock = clock
        self._answers = answers or AnswerCache(clock)
        self._shapes = Shapes()
        self._snapshot: Snapshot | None = None
        self._prepared: dict[tuple[Any, ...], tuple[Principal, Prepared]] = {}
        self._chars = 0

    async def sql(self, ask: Ask, text: str, pipeline: str = "") -> tuple[Answer, Prepared]:
        """Run a query of the caller's own.

        Args:
            ask: the request.
            text: one SELECT, or DESCRIBE and what it is about; or a template of one.
            pipeline: the pipe that `_` stands for; "" for none.

        Raises:
            GatewayError: it cannot be run; the sentence says why.
        """
        prepared, workspace = await self._sql(ask, text, pipeline)
        return await self._answer(ask, prepared, workspace), prepared

    async def explain_sql(self, ask: Ask, text: str, pipeline: str = "") -> dict[str, str]:
        """Return what would be run for a query, and the engine's plan of it; see `sql`."""
        prepared, workspace = await self._sql(ask, text, pipeline)
        return await self._explained(ask, prepared, workspace)

    async def endpoint(self, who: Principal, name: str) -> Pipe:
        """Return the pipe whose endpoint `name` is, by name or id.

        Raises:
            NotFound: there is no such pipe, or it has no endpoint.
            Forbidden: the token may not read it.
        """
        found = await self._pipe(who, name)
        if not found.endpoint:
            await self._catalog.refresh()  # another node may have published it
            found = await self._pipe(who, name)
        if not found.endpoint:
            raise NotFound(f"The pipe '{found.name}' has no endpoint: publish one of its nodes")
        return found

    async def call(self, ask: Ask, pipe: Pipe, text: str = "") -> tuple[Answer, Prepared]:
        """Call the endpoint of `pipe`.

        Args:
            ask: the request; `ask.format` is that of the answer, whatever `text` says.
            pipe: from `endpoint`.
            text: a query over the result, in which `_` stands for the pipe; "" for all of it.

        Raises:
            GatewayError: it cannot be called; the sentence says why.
        """
        workspace, moment = self._moment(ask.who)
        prepared = await self._for_call(ask, moment, pipe, text)
        return await self._answer(ask, prepared, workspace), prepared

    async def explain(self, ask: Ask, name: str, node: str = "") -> dict[str, str]:
        """Return what would be run for a pipe, or for one node of it, and the engine's plan of it.

        Raises:
            GatewayError: see `call`.
            NotFound: there is no such pipe or node.
        """
        pipe = await self._pipe(ask.who, name)
        workspace, moment = self._moment(ask.who)
        if not node:
            return await self._explained(ask, await self._for_call(ask, moment, pipe, ""), workspace)
        found = pipe.node(node)
        if found is None:
            raise NotFound(f"Node '{node}' not found in pipe '{pipe.name}'")
        names = Names(moment, ask.who, ask.params, pipe)
        if names.row_filter(pipe):
            raise Forbidden(f"Token has not enough permissions to see the nodes of '{pipe.name}'")
        inlined = names.node(pipe, found)
        fenced = await _fenced(inlined.sql, lambda: fence(inlined.sql, inlined.resolve, inlined.bound))
        return await self._explained(ask, _prepared(fenced, names), workspace)

    async def _sql(self, ask: Ask, text: str, pipeline: str) -> tuple[Prepared, Workspace]:
        await self._catalog.refresh_if_told(ask=True)
        this = await self._pipe(ask.who, pipeline) if pipeline else None
        workspace, moment = self._moment(ask.who)
        key = (id(ask.who), text, this.id if this else "", _key(ask.params))
        found = self._known(key, moment.snapshot)
        if found is None:
            names = Names(moment, ask.who, ask.params, this)

            def run() -> FencedQuery:
                rendered = names.asked(text)
                query = described(rendered.sql)
                if query is not None:
                    return describing(fence(query, names, rendered.secrets))
                return self._shapes.fence(rendered.sql, names, rendered.secrets)

            found = _prepared(await _fenced(text, run), names)
            self._remember(key, ask.who, found, names)
        return found, workspace

    async def _for_call(self, ask: Ask, moment: Moment, pipe: Pipe, text: str) -> Prepared:
        key = (id(ask.who), pipe.id, pipe.version, text, _key(ask.params))
        found = self._known(key, moment.snapshot)
        if found is not None:
            return found
        names = Names(moment, ask.who, ask.params, pipe)
        if pipe.output and (seconds := pipe.output.tags.get(CACHE_TAG)):
            names.used.hints.append(Hints(cache_ttl_seconds=int(seconds)))
        condition = names.row_filter(pipe)
        _check_required(pipe, names.params_of(pipe))

        def run() -> FencedQuery:
            if text or condition:
                rendered = names.asked(text or "SELECT * FROM _")
                return self._shapes.fence(rendered.sql, names, rendered.secrets)
            inlined = names.pipe(pipe)
            fenced = self._shapes.fence(inlined.sql, inlined.resolve, inlined.bound)
            return replace(fenced, hides=True)

        size = sum(len(node.sql) for node in pipe.nodes) + len(text)
        fenced = await asyncio.to_thread(run) if size > _INLINE_CHARS_MAX else run()
        found = _prepared(replace(fenced, format=None), names)
        self._remember(key, ask.who, found, names)
        return found

    async def _answer(self, ask: Ask, prepared: Prepared, workspace: Workspace) -> Answer:
        await self._sources.prepare(workspace, prepared.services)
        wanted = Wanted(ask.format, ask.output, prepared.threads, prepared.settings)
        limits = self._limits.of(workspace.limits, ask.who.limited_as)
        if not prepared.keep_seconds:
            return await self._queries.run(prepared.fenced, wanted, limits, ask.query_id)
        fenced = prepared.fenced
        key = (fenced.sql, fenced.format or ask.format, _key(fenced.bound), _key(ask.output))
        kept = self._answers.get(workspace.id, key)
        if kept is not None:
            return Answer(kept.content_type, kept.summary, kept.body)
        answer = await self._queries.run(fenced, wanted, limits, ask.query_id)
        if answer.body is not None:
            kept = Kept(answer.content_type, answer.body, answer.summary)
            self._answers.put(workspace.id, key, kept, prepared.keep_seconds)
        return answer

    async def _explained(self, ask: Ask, prepared: Prepared, workspace: Workspace) -> dict[str, str]:
        if ask.who.kind is Kind.JWT:
            raise Forbidden("A JWT may not see the plan of a query; use a static token for this")
        fenced = prepared.fenced
        if is_describing(fenced):
            raise InvalidRequest("DESCRIBE has no plan: explain a SELECT")
        await self._sources.prepare(workspace, prepared.services)
        bound = dict.fromkeys(fenced.bound, _STAND_IN)  # plans quote constants
        plan = replace(fenced, sql=f"EXPLAIN {fenced.sql}", format="JSONCompact", bound=bound)
        limits = self._limits.of(workspace.limits, ask.who.limited_as)
        answer = await self._queries.run(plan, Wanted("", {}), limits, ask.query_id)
        async with answer:
            lines = orjson.loads(b"".join([chunk async for chunk in answer.chunks()]))["data"]
        return {
            "debug_query": shown(fenced.sql, fenced),
            "query_explain": shown("\n".join(line[0] for line in lines), fenced),
        }

    async def _pipe(self, who: Principal, name: str) -> Pipe:
        await self._catalog.refresh_if_told(ask=False)
        found = self._catalog.snapshot.pipe(who.workspace_id, name)
        if found is None:
            await self._catalog.refresh()
            found = self._catalog.snapshot.pipe(who.workspace_id, name)
        if found is None:
            raise NotFound(f"Pipe '{name[:200]}' not found")
        who.require(Action.PIPE_READ, found.id, found.name)
        return found

    def _moment(self, who: Principal) -> tuple[Workspace, Moment]:
        snapshot = self._catalog.snapshot
        workspace = snapshot.workspaces.get(who.workspace_id)
        if workspace is None:
            raise Unauthenticated("Invalid token")
        secrets = Secrets(
            lambda: [each.name for each in snapshot.variables_of(workspace.id)],
            lambda name: self._secret(snapshot, workspace.id, name),
        )
        return workspace, Moment(snapshot, workspace, self._clock.now(), secrets)

    def _known(self, key: tuple[Any, ...], snapshot: Snapshot) -> Prepared | None:
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._prepared.clear()
            self._chars = 0
        found = self._prepared.get(key)
        return found and found[1]

    def _remember(self, key: tuple[Any, ...], who: Principal, prepared: Prepared, names: Names) -> None:
        """Keep `prepared` for the next request like this one; with it who asked, whose id is in the key."""
        if not names.used.is_lasting or self._catalog.snapshot is not self._snapshot:
            return
        self._chars += len(prepared.fenced.sql) + len(key[-1])
        if len(self._prepared) >= _KEPT_MAX or self._chars > _KEPT_CHARS_MAX:
            self._prepared.clear()
            self._chars = 0
        self._prepared[key] = (who, prepared)


async def _fenced(text: str, run: Callable[[], FencedQuery]) -> FencedQuery:
    return run() if len(text) <= _INLINE_CHARS_MAX else await asyncio.to_thread(run)


def _prepared(fenced: FencedQuery, names: Names) -> Prepared:
    check_keeps_secrets(fenced.tells)
    used = names.used
    threads = [hint.max_threads for hint in used.hints if hint.max_threads]
    kept = [hint.cache_ttl_seconds for hint in used.hints if hint.cache_ttl_seconds]
    in_order = any("optimize_aggregation_in_order" in hint.activate for hint in used.hints)
    return Prepared(
        fenced,
        tuple(sorted(used.services)),
        max(threads, default=None),
        min(kept, default=0),
        {"optimize_aggregation_in_order": 1} if in_order else {},
    )


def _check_required(pipe: Pipe, params: Params) -> None:
    """Raise if a parameter that the author of `pipe` requires was not sent, whether or not it has a default."""
    missing: list[str] = []
    for node in pipe.nodes:
        missing += compile_template(node.sql).missing_required(params)
    if missing:
        raise required(list(dict.fromkeys(missing)))


def _key(values: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise InvalidRequest("A parameter is not text, a number, a list or an object that JSON can hold") from error
