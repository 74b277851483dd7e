"""Env: run by Alembic for every command; see the package."""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from gateway.catalog import tables
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)


def _tell(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:
    del ctx, heads, run_args
    way = "up" if step.is_upgrade else "down"
    _logger.info("catalog.migrated", way=way, revision=step.up_revision_id)


context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["table"],
    target_metadata=tables.metadata,  # names of constraints and indexes follow its convention
    on_version_apply=_tell,
)
context.run_migrations()
