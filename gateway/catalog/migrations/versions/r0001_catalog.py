"""Workspaces, data sources, tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _changed_version() -> "sa.Column[int]":
    return sa.Column("changed_version", sa.BigInteger, nullable=False, index=True)


def _workspace_id() -> "sa.Column[str]":
    return sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    """Make the first tables."""
    op.create_table("catalog_schema", sa.Column("version", sa.Integer, nullable=False))
    op.create_table("catalog_version", sa.Column("version", sa.BigInteger, nullable=False))
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("database", sa.Text, nullable=False, unique=True),
        sa.Column("created_at", sa.Double, nullable=False),
        _changed_version(),
    )
    op.create_table(
        "datasources",
        sa.Column("id", sa.Text, primary_key=True),
        _workspace_id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("schema_text", sa.Text, nullable=False),
        sa.Column("engine_options", sa.Text, nullable=False),
        sa.Column("indexes", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        _changed_version(),
        sa.UniqueConstraint("workspace_id", "name"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        _workspace_id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("origin_type", sa.Text, nullable=False),
        sa.Column("origin_resource_id", sa.Text),
        sa.Column("secret_version", sa.BigInteger, nullable=False),
        sa.Column("builtin", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        _changed_version(),
        sa.UniqueConstraint("workspace_id", "name"),
    )
    op.create_index("uq_tokens_builtin", "tokens", ["workspace_id", "builtin"], unique=True)
    op.create_table(
        "catalog_tombstones",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        _changed_version(),
    )
    op.execute("INSERT INTO catalog_schema (version) VALUES (1)")
    op.execute("INSERT INTO catalog_version (version) VALUES (0)")


def downgrade() -> None:
    """Leave an empty database."""
    for table in ("catalog_tombstones", "tokens", "datasources", "workspaces", "catalog_version", "catalog_schema"):
        op.drop_table(table)
