"""Pipes: found, listed, described. What changes them is in `pipe_changes`."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action, Scope, forbidden
from gateway.auth.service import Authenticator
from gateway.catalog import Catalog, Node, Pipe, Snapshot
from gateway.control.pipe_describe import chosen, described_node, described_pipe
from gateway.control.pipe_files import pipe_text
from gateway.control.token_lines import granted
from gateway.core.errors import Forbidden, NotFound

# After Tinybird's own words for data sources.
ONLY_BY_DEPLOYMENT: Final = "Adding or modifying pipes of this workspace can only be done via deployments"


class PipeControl:
    """See the module. One per worker."""

    def __init__(self, catalog: Catalog, authenticator: Authenticator, *, may_change: bool = True) -> None:
        """Find pipes of `catalog`; without `may_change` none is made, changed or dropped but by deployments."""
        self._catalog = catalog
        self._authenticator = authenticator
        self._may_change = may_change

    @property
    def snapshot(self) -> Snapshot:
        """What exists, as far as is known."""
        return self._catalog.snapshot

    async def refresh(self) -> None:
        """Return when what other workers changed before now is known.

        Raises:
            Unavailable: the metadata database does not answer.
        """
        await self._catalog.refresh()

    async def find(self, principal: Principal, name_or_id: str, action: Action) -> Pipe:
        """Return a pipe on which `principal` may do `action`, as it is now.

        Whoever may not see the difference gets the same answer for "not yours" and "not there".

        Raises:
            Forbidden, NotFound: it is not there, or not for this principal.
            Unavailable: the metadata database does not answer.
        """
        await self._catalog.refresh()
        found = self.snapshot.pipe(principal.workspace_id, name_or_id)
        if found is None:
            if principal.allows(Action.PIPE_LIST):
                raise NotFound(f"Pipe '{name_or_id[:200]}' not found")
            raise forbidden(action)
        principal.require(action, found.id, found.name)
        return found

    async def find_changeable(self, principal: Principal, name_or_id: str, action: Action) -> Pipe:
        """Return what `find` returns.

        Raises:
            Forbidden, NotFound, Unavailable: see `find`; or pipes change by deployments only.
        """
        found = await self.find(principal, name_or_id, action)
        self.check_may_change()
        return found

    def check_may_change(self) -> None:
        """Raise if pipes change by deployments only.

        Raises:
            Forbidden: so it is.
        """
        if not self._may_change:
            raise Forbidden(ONLY_BY_DEPLOYMENT)

    async def visible(self, principal: Principal) -> list[Pipe]:
        """Return the pipes this principal may see, by name; also those made elsewhere a moment ago."""
        await self._catalog.refresh()
        everything = self.snapshot.pipes_of(principal.workspace_id)
        return [each for each in everything if principal.allows(Action.PIPE_LIST, each.id, each.name)]

    async def listed(
        self,
        principal: Principal,
        base_url: str,
        attrs: Sequence[str],
        node_attrs: Sequence[str],
        *,
        with_dependencies: bool,
    ) -> list[dict[str, Any]]:
        """Return the visible pipes as the list shows them; no attributes are all."""
        pipes, snapshot = await self.visible(principal), self.snapshot
        wanted = with_dependencies or "dependencies" in node_attrs

        def show() -> list[dict[str, Any]]:
            shown = (described_pipe(snapshot, each, base_url, with_dependencies=wanted) for each in pipes)
            kept = [*node_attrs, "dependencies"] if node_attrs and wanted else node_attrs
            return [chosen(each, attrs, kept) for each in shown]

        # What hundreds of nodes read takes a while to find out; after the first time it is remembered.
        return await asyncio.to_thread(show)

    def described(self, principal: Principal, pipe: Pipe, base_url: str) -> dict[str, Any]:
        """Return a pipe as its own page shows it, with the text of its file."""
        return {**described_pipe(self.snapshot, pipe, base_url), "content": self.text(principal, pipe)}

    def text(self, principal: Principal, pipe: Pipe) -> str:
        """Return the text of the pipe's `.pipe` file; with its TOKEN lines for who manages tokens.

        Raises:
            SchemaError: see `pipe_text`.
        """
        lines = granted(self.snapshot, pipe) if principal.allows(Action.TOKENS) else ()
        return pipe_text(self.snapshot, pipe, (name for name, _ in lines))

    def described_node(self, pipe: Pipe, node: Node) -> dict[str, Any]:
        """Return a node as its pipe's page shows it."""
        return described_node(self.snapshot, pipe, node)

    def reading_token(self, principal: Principal, pipe: Pipe) -> str | None:
        """Return the string of the token that reads `pipe`, if exactly one has that right by name.

        Only for who manages tokens: to others it would give a right they do not have.
        """
        if not principal.allows(Action.TOKENS):
            return None
        wanted = str(Scope("PIPES:READ", pipe.id))
        tokens = [
            each
            for each in self.snapshot.tokens.values()
            if each.workspace_id == pipe.workspace_id and wanted in each.scopes
        ]
        return self._authenticator.token_string(tokens[0]) if len(tokens) == 1 else None
