"""Describe: a data source as the API shows it. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.catalog import Datasource
from gateway.schema.datafile import Datafile
from gateway.schema.indexes import parse_indexes


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is in a data source."""

    rows: int = 0
    bytes: int = 0
    quarantined_rows: int = 0


def described(datasource: Datasource, tokens: tuple[tuple[str, str], ...] = ()) -> Datafile:
    """Return a data source as its datafile says it; `tokens` are those that its TOKEN lines name."""
    return Datafile(
        datasource.schema,
        datasource.engine,
        datasource.description,
        parse_indexes("\n".join(datasource.indexes), datasource.schema),
        tokens=tokens,
        tags=tuple(f"{name}={value}" if value else name for name, value in datasource.tags.items()),
    )


def list_item(datasource: Datasource, statistics: Statistics) -> dict[str, Any]:
    """Return a data source as the list shows it. Source: datasources.md §4.1, doc shape."""
    return {
        **_identity(datasource),
        "engine": datasource.engine.wire_list(),
        "columns": datasource.schema.wire_columns(detail=False),
        "statistics": {"bytes": statistics.bytes, "row_count": statistics.rows},
        "indexes": [index.wire() for index in described(datasource).indexes],
        "new_columns_detected": {},
        "quarantine_rows": statistics.quarantined_rows,
    }


def detail(datasource: Datasource, statistics: Statistics) -> dict[str, Any]:
    """Return a data source as its own page shows it. Source: datasources.md §4.2, recorded."""
    return {
        **_identity(datasource),
        "errors_discarded_at": None,
        "last_commit": {"content_sha": "", "path": "", "status": "ok"},
        "new_columns_detected": False,
        "engine": datasource.engine.wire_detail(),
        "schema": {
            "columns": datasource.schema.wire_columns(detail=True),
            "sql_schema": datasource.schema.sql_schema(),
        },
        "indexes": [index.wire() for index in described(datasource).indexes],
        "statistics": {"bytes": statistics.bytes, "row_count": statistics.rows},
        "quarantine_rows": statistics.quarantined_rows,
    }


def wire_time(seconds: float) -> str:
    """Return a moment as the API writes it: UTC, always six digits of a second, no zone."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _identity(datasource: Datasource) -> dict[str, Any]:
    return {
        "id": datasource.id,
        "name": datasource.name,
        "cluster": "tinybird",
        "tags": dict(datasource.tags),
        "created_at": wire_time(datasource.created_at),
        "updated_at": wire_time(datasource.updated_at),
        "replicated": False,
        "version": 0,
        "project": None,
        "headers": {},
        "shared_with": [],
        "description": datasource.description,
        "used_by": [],
        "type": datasource.type,
    }
