"""Rows: a row of the database as a model, and a model as a row. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import orjson

from gateway.catalog.models import BuiltinToken, Copy, Datasource, Node, Origin, Pipe, Token, Variable, Workspace
from gateway.core.errors import InvalidRequest

# Far more than the shapes of scopes in use; it only bounds a hostile variety.
_SCOPES_MAX: Final = 10_000


def workspace_of(row: Any) -> Workspace:
    """Return the workspace in a row of `tables.workspaces`."""
    return Workspace(
        id=row.id,
        name=row.name,
        database=row.database,
        created_at=row.created_at,
        limits=orjson.loads(row.limits),
    )


def datasource_of(row: Any) -> Datasource:
    """Return the data source in a row of `tables.datasources`."""
    return Datasource(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        description=row.description,
        schema_text=row.schema_text,
        engine_options=orjson.loads(row.engine_options),
        indexes=tuple(orjson.loads(row.indexes)),
        type=row.type,
        version=row.version,
        tags=orjson.loads(row.tags),
        created_at=row.created_at,
        updated_at=row.updated_at,
        hold=row.hold,
    )


def pipe_of(row: Any) -> Pipe:
    """Return the pipe in a row of `tables.pipes`."""
    return Pipe(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        description=row.description,
        nodes=msgspec.json.decode(row.nodes, type=tuple[Node, ...]),
        endpoint=row.endpoint,
        copy=msgspec.json.decode(row.copy, type=Copy | None),
        tags=orjson.loads(row.tags),
        version=row.version,
        edited_by=row.edited_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def variable_of(row: Any) -> Variable:
    """Return the variable in a row of `tables.variables`."""
    return Variable(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        type=row.type,
        sealed=row.sealed,
        edited_by=row.edited_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def token_of(row: Any) -> Token:
    """Return the token in a row of `tables.tokens`."""
    return token_reader()(row)


def token_reader() -> Callable[[Any], Token]:
    """Return a function from a row of `tables.tokens` to its token.

    Most tokens of an installation have few different scopes and workspaces between them, so one reader, used for one
    load, makes each of those once.
    """
    scopes: dict[str, tuple[str, ...]] = {}
    texts: dict[str, str] = {}
    custom = Origin()

    def read(row: Any) -> Token:
        # By position, in the order of the table: a row's names cost more than everything else here.
        (
            id_,
            workspace_id,
            name,
            description,
            scopes_text,
            origin_type,
            origin_id,
            secret_version,
            builtin,
            created,
            _,
        ) = row
        granted = scopes.get(scopes_text)
        if granted is None:
            granted = tuple(orjson.loads(scopes_text))
            if len(scopes) < _SCOPES_MAX:
                scopes[scopes_text] = granted
        return Token(
            id_,
            texts.setdefault(workspace_id, workspace_id),
            name,
            description,
            granted,
            custom if origin_type == "C" and origin_id is None else Origin(origin_type, origin_id),
            secret_version,
            None if builtin is None else BuiltinToken(builtin),
            created,
        )

    return read


def row_of_workspace(workspace: Workspace) -> dict[str, Any]:
    """Return the columns of a workspace."""
    return {
        "id": workspace.id,
        "name": workspace.name,
        "database": workspace.database,
        "created_at": workspace.created_at,
        "limits": _json(workspace.limits),
    }


def row_of_datasource(datasource: Datasource) -> dict[str, Any]:
    """Return the columns of a data source."""
    return {
        "id": datasource.id,
        "workspace_id": datasource.workspace_id,
        "name": datasource.name,
        "description": datasource.description,
        "schema_text": datasource.schema_text,
        "engine_options": _json(datasource.engine_options),
        "indexes": _json(datasource.indexes),
        "type": datasource.type,
        "version": datasource.version,
        "tags": _json(datasource.tags),
        "created_at": datasource.created_at,
        "updated_at": datasource.updated_at,
        "hold": datasource.hold,
    }


def row_of_pipe(pipe: Pipe) -> dict[str, Any]:
    """Return the columns of a pipe."""
    return {
        "id": pipe.id,
        "workspace_id": pipe.workspace_id,
        "name": pipe.name,
        "description": pipe.description,
        "nodes": _json(pipe.nodes),
        "endpoint": pipe.endpoint,
        "copy": _json(pipe.copy),
        "tags": _json(pipe.tags),
        "version": pipe.version,
        "edited_by": pipe.edited_by,
        "created_at": pipe.created_at,
        "updated_at": pipe.updated_at,
    }


def row_of_variable(variable: Variable) -> dict[str, Any]:
    """Return the columns of a variable."""
    return {
        "id": variable.id,
        "workspace_id": variable.workspace_id,
        "name": variable.name,
        "type": variable.type,
        "sealed": variable.sealed,
        "edited_by": variable.edited_by,
        "created_at": variable.created_at,
        "updated_at": variable.updated_at,
    }


def row_of_token(token: Token) -> dict[str, Any]:
    """Return the columns of a token."""
    return {
        "id": token.id,
        "workspace_id": token.workspace_id,
        "name": token.name,
        "description": token.description,
        "scopes": _json(token.scopes),
        "origin_type": token.origin.type,
        "origin_resource_id": token.origin.resource_id,
        "secret_version": token.secret_version,
        "builtin": token.builtin,
        "created_at": token.created_at,
    }


def _json(value: Mapping[str, str] | Mapping[str, int] | tuple[str, ...] | tuple[Node, ...] | Copy | None) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise InvalidRequest("A list or a mapping has text that can not be stored") from None
