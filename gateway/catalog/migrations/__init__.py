"""Migrations: how a database of an earlier layout becomes one of this version's, and goes back, by Alembic.

    env.py            what Alembic runs: on a connection and in a transaction that the caller has
    versions/         one module per revision; 0001 to 0003 are the layouts 1 to 3 that were counted before Alembic

Nothing is committed between steps, so an upgrade that is killed has not happened, on SQLite as on PostgreSQL. Alembic
is loaded only when there is something to migrate: a start with a database that is up to date does not wait for it.

A new revision is a module in `versions/` and the new `layout.HEAD`; a test compares what all revisions together make
with `catalog.tables`. If gateways of the version before can work with the new layout (tables and columns that they do
not need were added), it leaves `catalog_schema` alone; else it sets it to its own number, and they refuse to start.
"""

from collections.abc import Mapping

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def migrate(connection: Connection, revision: str, table: str, *, is_upgrade: bool) -> None:
    """Bring the database up, or down, to `revision`, in the transaction that is under way; `table` says where it is."""
    config = _config()
    config.attributes |= {"connection": connection, "table": table}
    (command.upgrade if is_upgrade else command.downgrade)(config, revision)


def revisions() -> Mapping[str, str]:
    """Return all there are, first to last, and what each is about."""
    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    return {step.revision: step.doc for step in reversed(list(steps))}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "gateway.catalog:migrations")
    return config
