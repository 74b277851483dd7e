"""The record of what exists: workspaces, data sources, tokens.

    models     what a workspace, a data source and a token are
    names      which names they may have                                   pure
    tables     how they lie in the database
    database   one engine for SQLite and PostgreSQL: locks, snapshots, errors
    change     every way the record changes, each inside one transaction
    store      the door to the database
    snapshot   the record in memory, kept fresh: what the event path reads

Writes go to the database through `CatalogStore.change()`. Reads on the event path come from `Catalog.snapshot`, which
never waits; a change made by any process is in it after `poll_seconds`, or after `await Catalog.refresh()`.
"""

from gateway.catalog.change import Change
from gateway.catalog.models import BuiltinToken, Datasource, Definition, Origin, Token, Workspace
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
    "Datasource",
    "Definition",
    "Gone",
    "NameTaken",
    "Origin",
    "Snapshot",
    "Token",
    "Workspace",
    "check_name",
    "check_text",
    "check_token_name",
]
