"""Resolved: what may stand behind a name in a query: a table, or another query."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resolved:
    """The table behind a name, and which of its rows may be read."""

    database: str
    table: str
    filter: str | None = None
    """A ClickHouse condition over the table's own columns, without subqueries; None for all rows."""
    is_final: bool = False
    """Rows that the engine has yet to merge are read as the one they will be, as with FINAL behind the table."""
    is_service: bool = False
    """Whether it tells about the workspace, and holds nothing that somebody sent."""


@dataclass(frozen=True, slots=True)
class Inlined:
    """The query behind a name: that of a node of a pipe, rendered. Its rows stand where the name stood."""

    key: Hashable
    """Two with the same key are the same query; one inside itself is a circle."""
    title: str
    """In sentences: `pipe`, or `pipe.node`."""
    sql: str
    resolve: "Resolve"
    """Gives what stands behind the names inside it; names of whoever reads it are not known there."""
    bound: Mapping[str, str] = field(default_factory=dict)
    """Values of the placeholders `{name:Type}` that its template put in; no other text can name them."""
    filter: str | None = None
    """As in `Resolved`, over the columns of the result."""


Resolve = Callable[[str], Resolved | Inlined | None]
"""Gives what stands behind a name as written (`events`, `tinybird.pipe_stats`), None if there is none for this token.
What it raises, the caller of the fence hears."""
