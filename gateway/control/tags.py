"""Tags: words that data sources and pipes are found by. One is kept with what has it, and goes with the last of that.

They are the plain words behind TAGS in the files of data sources and pipes. Source: pipes.md §8.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid5

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import CatalogStore, Datasource, Pipe
from gateway.control.datasources import DatasourceControl
from gateway.control.pipes import PipeControl
from gateway.core.errors import InvalidRequest, NotFound
from gateway.schema.directives import written_item

Tagged = Datasource | Pipe


class TagControl:
    """See the module. One per worker."""

    def __init__(self, datasources: DatasourceControl, pipes: PipeControl, store: CatalogStore) -> None:
        self._datasources = datasources
        self._pipes = pipes
        self._store = store

    async def listed(self, principal: Principal) -> list[dict[str, Any]]:
        """Return the tags of what the principal may see, by name."""
        found: dict[str, list[Tagged]] = {}
        for each in await self._visible(principal):
            for name in _plain(each):
                found.setdefault(name, []).append(each)
        return [_shown(principal, name, found[name]) for name in sorted(found)]

    async def add(self, principal: Principal, name: str, resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Give a tag to resources, each known by its `id` or `name`; those that have it keep it.

        Raises:
            Forbidden: the principal is no administrator.
            InvalidRequest: the name is none, or there are no resources.
            NotFound: there is no such resource.
            Conflict: somebody changed one at the same time.
        """
        wanted = await self._resources(principal, resources)
        if not name or not wanted:
            raise InvalidRequest("A tag is kept with what has it: send 'name', and 'resources' with at least one")
        written_item(name)
        await self._change(principal, name, {each.id: each for each in wanted}, [])
        return await self._one(principal, name)

    async def set(self, principal: Principal, name: str, resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Let these resources have a tag, and no others.

        Raises:
            GatewayError: see `add`; none is fine.
        """
        wanted = {each.id: each for each in await self._resources(principal, resources)}
        written_item(name)
        await self._change(principal, name, wanted, await self._having(principal, name))
        return await self._one(principal, name)

    async def drop(self, principal: Principal, name: str) -> None:
        """Take a tag away from whatever has it.

        Raises:
            Forbidden: the principal is no administrator.
            NotFound: nothing has it.
        """
        principal.require(Action.ADMIN)
        having = await self._having(principal, name)
        if not having:
            raise NotFound(f"Tag '{name[:200]}' not found")
        await self._change(principal, name, {}, having)

    async def _resources(self, principal: Principal, wanted: Iterable[Mapping[str, Any]]) -> list[Tagged]:
        principal.require(Action.ADMIN)
        await self._pipes.refresh()
        snapshot, workspace_id, found = self._pipes.snapshot, principal.workspace_id, []
        for each in wanted:
            which = str(each.get("id") or each.get("name") or "")
            known = snapshot.datasource(workspace_id, which) or snapshot.pipe(workspace_id, which)
            if known is None:
                raise NotFound(f"There is no Data Source or pipe '{which[:200]}'")
            found.append(known)
        return found

    async def _having(self, principal: Principal, name: str) -> list[Tagged]:
        return [each for each in await self._visible(principal) if name in _plain(each)]

    async def _visible(self, principal: Principal) -> list[Tagged]:
        return [*await self._datasources.visible(principal), *await self._pipes.visible(principal)]

    async def _change(
        self, principal: Principal, name: str, wanted: Mapping[str, Tagged], having: Iterable[Tagged]
    ) -> None:
        async with self._store.change() as change:
            for each in {**{each.id: each for each in having}, **wanted}.values():
                if isinstance(each, Datasource):
                    await change.tag_datasource(each.id, name, has=each.id in wanted)
                    continue
                tags = {tag: value for tag, value in each.tags.items() if tag != name}
                if each.id in wanted:
                    tags[name] = each.tags.get(name, "")
                if tags != each.tags:
                    await change.update_pipe(
                        each.id, from_version=each.version, edited_by=principal.token_name, tags=tags
                    )
        await self._pipes.refresh()

    async def _one(self, principal: Principal, name: str) -> dict[str, Any]:
        return _shown(principal, name, await self._having(principal, name))


def _plain(resource: Tagged) -> list[str]:
    """Return the tags of a resource; those with a value are settings."""
    return [name for name, value in resource.tags.items() if not value]


def _shown(principal: Principal, name: str, resources: Iterable[Tagged]) -> dict[str, Any]:
    shown = [
        {"id": each.id, "name": each.name, "type": "pipe" if isinstance(each, Pipe) else "datasource"}
        for each in resources
    ]
    # A tag has no record of its own; the same name is the same id.
    return {"id": str(uuid5(UUID(principal.workspace_id), name)), "name": name, "resources": shown}
