"""Variables: values that queries use by name and nobody is shown. Source: variables.md.

A value goes in, and comes out only as a bound parameter of a query (`value`). It is sealed before it reaches the
database, and no answer, log or error holds it.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.auth.seal import Seal
from gateway.catalog import Catalog, CatalogStore, Snapshot, Variable
from gateway.core.errors import Conflict, InvalidRequest, NotFound, Unavailable

VARIABLES_MAX: Final = 100
VALUE_BYTES_MAX: Final = 8 * 1024
_NAME_CHARS_MAX: Final = 200
_USERS_MAX: Final = 20  # that are named
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TYPE: Final = "secret"

Users = Callable[[Snapshot, str, str], Sequence[str]]
"""Snapshot, workspace id, name → the names of the pipes that would fail without a variable."""


class VariableControl:
    """What may be done with variables, for who administers the workspace. One per worker."""

    def __init__(self, catalog: Catalog, store: CatalogStore, seal: Seal, users: Users) -> None:
        self._users = users
        self._catalog = catalog
        self._store = store
        self._seal = seal

    async def list(self, principal: Principal) -> list[dict[str, Any]]:
        """Return the variables of the workspace, by name, without their values.

        Raises:
            Forbidden: the principal does not administer the workspace; so for everything here.
        """
        principal.require(Action.ADMIN)
        await self._catalog.refresh()
        return [_shown(each) for each in self._catalog.snapshot.variables_of(principal.workspace_id)]

    async def detail(self, principal: Principal, name: str) -> dict[str, Any]:
        """Return a variable without its value.

        Raises:
            NotFound: there is none of that name.
        """
        return _shown(await self._find(principal, name))

    async def create(self, principal: Principal, name: str, value: str, kind: str = _TYPE) -> dict[str, Any]:
        """Store a new variable.

        Raises:
            InvalidRequest: its name, type or value is not one, the name is taken, or the workspace has too many.
        """
        principal.require(Action.ADMIN)
        if len(name) > _NAME_CHARS_MAX or not _NAME.fullmatch(name):
            raise InvalidRequest(
                "The 'name' of a variable must begin with a letter or _, and have only letters, digits and _, "
                f"at most {_NAME_CHARS_MAX}"
            )
        if kind != _TYPE:
            raise InvalidRequest(f"The 'type' of a variable must be {_TYPE}")
        sealed = self._sealed(principal.workspace_id, name, value)
        async with self._store.change() as change:
            if await change.find_variable(principal.workspace_id, name) is not None:
                raise InvalidRequest(f'Variable "{name}" already exists: use PUT to give it another value')
            if await change.count_variables(principal.workspace_id) >= VARIABLES_MAX:
                raise InvalidRequest(f"A workspace may have at most {VARIABLES_MAX} variables")
            made = await change.create_variable(principal.workspace_id, name, sealed, edited_by=_editor(principal))
        await self._catalog.refresh()
        return _shown(made)

    async def update(self, principal: Principal, name: str, value: str) -> dict[str, Any]:
        """Give a variable another value, for every query from now on.

        Raises:
            NotFound: there is none of that name.
            InvalidRequest: the value is not one.
        """
        found = await self._find(principal, name)
        sealed = self._sealed(principal.workspace_id, name, value)
        async with self._store.change() as change:
            changed = await change.update_variable(found.id, sealed, edited_by=_editor(principal))
        await self._catalog.refresh()
        return _shown(changed)

    async def drop(self, principal: Principal, name: str, *, is_forced: bool = False) -> None:
        """Delete a variable.

        Raises:
            NotFound: there is none of that name.
            Conflict: endpoints or copies use it, and it is not forced; their names are said.
        """
        found = await self._find(principal, name)
        users = await asyncio.to_thread(self._users, self._catalog.snapshot, principal.workspace_id, name)
        if users and not is_forced:
            raise Conflict(
                f'Variable "{name}" is used by {", ".join(users[:_USERS_MAX])}, which would fail without it: change '
                "them first, give it another value with PUT, or send force=true"
            )
        async with self._store.change() as change:
            await change.drop_variable(found.id)
        await self._catalog.refresh()

    async def _find(self, principal: Principal, name: str) -> Variable:
        principal.require(Action.ADMIN)
        await self._catalog.refresh()
        found = self._catalog.snapshot.variable(principal.workspace_id, name)
        if found is None:
            raise NotFound(f'Variable "{name}" does not exist')
        return found

    def _sealed(self, workspace_id: str, name: str, value: str) -> str:
        if not value:
            raise InvalidRequest("The 'value' parameter is required")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise InvalidRequest("The value of the variable is not text in UTF-8") from None
        if size > VALUE_BYTES_MAX:
            raise InvalidRequest(f"The value of a variable may have at most {VALUE_BYTES_MAX} bytes; this has {size}")
        return self._seal.close(value, _place(workspace_id, name))


def value(snapshot: Snapshot, seal: Seal, workspace_id: str, name: str) -> str | None:
    """Return the value of a variable, for a query that uses it as a bound parameter; None if there is none.

    Raises:
        Unavailable: it was stored under another secret.
    """
    found = snapshot.variable(workspace_id, name)
    return None if found is None else seal.open(found.sealed, _place(workspace_id, name))


def values(seal: Seal, snapshot: Snapshot, workspace_id: str) -> list[str]:
    """Return the values of all variables of a workspace, to be kept out of what is shown; see `value`."""
    found = []
    for each in snapshot.variables_of(workspace_id):
        with suppress(Unavailable):
            found.append(seal.open(each.sealed, _place(workspace_id, each.name)))
    return found


def _place(workspace_id: str, name: str) -> str:
    return f"{workspace_id}/{name}"


def _editor(principal: Principal) -> str:
    return f"token: '{principal.token_name}'"


def _shown(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "type": variable.type,
        "created_at": _moment(variable.created_at),
        "updated_at": _moment(variable.updated_at),
        "edited_by": variable.edited_by,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
