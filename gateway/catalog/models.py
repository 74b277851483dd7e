"""Models: what a workspace, a data source, a pipe, a token and a variable are, as values that never change.

An object stands for one row of the database at one moment. The catalog hands out the same object for as long as the row
is unchanged, so `is` tells whether something changed, and what is derived from a data source may be kept under
`(id, version)`.

Moments are Unix seconds, UTC, as `Clock.now` gives them; how they look on the wire is the edge's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from gateway.schema.columns import Schema, parse_schema
from gateway.schema.engines import Engine, parse_engine
from gateway.schema.names import QUARANTINE_SUFFIX

# More data sources than a node is expected to serve at once; a parsed schema takes some tens of kilobytes.
_PARSED_SCHEMAS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Workspace:
    """A world of its own: data sources, tokens, and one database in ClickHouse."""

    id: str
    name: str
    database: str
    created_at: float
    limits: Mapping[str, int] = field(default_factory=dict)  # what differs here from the limits of the settings

    @staticmethod
    def database_of(workspace_id: str) -> str:
        """Return the name of the ClickHouse database for a workspace with this id."""
        return "ws_" + workspace_id.replace("-", "")[:12]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a data source is asked to be: everything but its identity. The mappings are not to be modified."""

    name: str
    schema_text: str
    engine_options: Mapping[str, str] = field(default_factory=dict)
    indexes: tuple[str, ...] = ()
    type: str = "ndjson"
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Datasource:
    """A data source. Its tables in ClickHouse are named by its id.

    So a rename touches no table, and rows of a dropped data source never meet those of a later one with its name.
    """

    id: str
    workspace_id: str
    name: str
    description: str
    schema_text: str
    engine_options: Mapping[str, str]
    indexes: tuple[str, ...]
    type: str
    version: int  # counts alters: schema, engine or indexes; a rename or a new description is none
    tags: Mapping[str, str]
    created_at: float
    updated_at: float
    hold: str = ""  # who wants no insert for a moment; "": nobody. See `clickhouse.holds`

    @property
    def table(self) -> str:
        """The table in ClickHouse, inside the workspace's database."""
        return self.id

    @property
    def quarantine_table(self) -> str:
        """The table of the rows that did not fit."""
        return self.id + QUARANTINE_SUFFIX

    @property
    def schema(self) -> Schema:
        """The parsed schema: parsed at first use, then the same object for the same text.

        Raises:
            InvalidRequest: the text is no schema; the store does not look inside it.
        """
        return _schema_of(self.schema_text)

    @property
    def engine(self) -> Engine:
        """The parsed engine; parsed at each use, which is for the control plane.

        Raises:
            InvalidRequest: the options do not describe an engine for this schema.
        """
        return parse_engine(self.engine_options, self.schema)


@dataclass(frozen=True, slots=True)
class Node:
    """One query of a pipe. Its SQL is as its author wrote it: a template if it begins with `%`."""

    id: str
    name: str
    sql: str
    description: str = ""
    materialized: str = ""  # id of the data source that its materialized view writes to; empty if it has none
    tags: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Copy:
    """That a node's rows are copied to a data source, on demand or by the clock."""

    node: str  # its id
    target: str  # id of the data source
    mode: str = "append"  # or `replace`
    cron: str = ""  # five fields, UTC; empty: on demand
    is_paused: bool = False  # its schedule waits to be resumed


@dataclass(frozen=True, slots=True)
class Pipe:
    """A chain of queries under one name. Nodes see each other by name; one of them may be its endpoint, or its copy."""

    id: str
    workspace_id: str
    name: str
    description: str
    nodes: tuple[Node, ...]
    endpoint: str  # id of the published node; empty if none is
    copy: Copy | None
    tags: Mapping[str, str]
    version: int  # counts changes, of its nodes too
    edited_by: str  # the name of the token that made the last change
    created_at: float
    updated_at: float

    def node(self, name_or_id: str) -> Node | None:
        """Return a node, or None."""
        return next((node for node in self.nodes if name_or_id in (node.name, node.id)), None)

    @property
    def output(self) -> Node | None:
        """The node whose rows are the pipe's, for who reads it by name: the published one, else the last."""
        return self.node(self.endpoint) or (self.nodes[-1] if self.nodes else None)


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that queries use and nobody is shown; `sealed` is what is kept of it."""

    id: str
    workspace_id: str
    name: str
    type: str
    sealed: str
    edited_by: str
    created_at: float
    updated_at: float


class BuiltinToken(StrEnum):
    """Tokens that come with a workspace and stay as long as it does."""

    WORKSPACE_ADMIN = "workspace_admin"  # its string is the key of the workspace's JWTs
    ADMIN = "admin"  # the user's own, one in each workspace; sees every workspace
    USER = "user"  # the account's, once in an installation, in its first workspace


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made a token: `C` somebody, `DS` a data source, `P` a pipe, `T` the gateway itself."""

    type: str = "C"
    resource_id: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A static token, without its string: that is made from the id and the secret when it is asked for."""

    id: str
    workspace_id: str
    name: str
    description: str
    scopes: tuple[str, ...]  # `SCOPE[:ACTION][:resource[:filter]]`, resources by id; `auth.scopes` reads them
    origin: Origin
    secret_version: int  # counts refreshes; a string of an earlier version is refused
    builtin: BuiltinToken | None
    created_at: float


@lru_cache(maxsize=_PARSED_SCHEMAS_MAX)
def _schema_of(text: str) -> Schema:
    return parse_schema(text)
