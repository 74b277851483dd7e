"""Models: what a workspace, a data source and a token are, as values that never change.

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
