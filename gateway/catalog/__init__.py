"""The record of what exists: workspaces, data sources, pipes, variables, tokens.

    models     what each of them is
    names      which names they may have                                   pure
    tables     how they lie in the database
    layout     which revision a database has; what is done about it
    migrations the way from each revision to the next, and back; Alembic's
    engines    connections to SQLite and PostgreSQL
    database   one door to both: locks, snapshots, errors
    change     every way the record changes, each inside one transaction
    store      the door to the database
    snapshot   the record in memory, kept fresh: what the event path reads

Writes go to the database through `CatalogStore.change()`. Reads on the event path come from `Catalog.snapshot`, which
never waits; a change made by any process is in it after `poll_seconds`, or after `await Catalog.refresh()`.
"""

from gateway.catalog.change import Change
from gateway.catalog.models import (
    BuiltinToken,
    Copy,
    Datasource,
    Definition,
    Node,
    Origin,
    Pipe,
    Token,
    Variable,
    Workspace,
)
from gateway.catalog.names import NameTaken, check_name, check_text, check_token_name
from gateway.catalog.snapshot import Catalog, CatalogOptions, Changes, Gone, Snapshot
from gateway.catalog.store import CatalogStore

__all__ = [
    "BuiltinToken",
    "Catalog",
    "CatalogOptions",
    "CatalogStore",
    "Change",
    "Changes",
    "Copy",
    "Datasource",
    "Definition",
    "Gone",
    "NameTaken",
    "Node",
    "Origin",
    "Pipe",
    "Snapshot",
    "Token",
    "Variable",
    "Workspace",
    "check_name",
    "check_text",
    "check_token_name",
]
