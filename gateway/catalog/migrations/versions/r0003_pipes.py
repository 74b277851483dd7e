"""Pipes, variables, schedules, limits of workspaces. Going down forgets all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _changed_version() -> "sa.Column[int]":
    return sa.Column("changed_version", sa.BigInteger, nullable=False, index=True)


def _workspace_id() -> "sa.Column[str]":
    return sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    """Add the tables, and a column to workspaces and to data sources."""
    op.create_table(
        "pipes",
        sa.Column("id", sa.Text, primary_key=True),
        _workspace_id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("nodes", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("copy", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("edited_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        _changed_version(),
        sa.UniqueConstraint("workspace_id", "name"),
    )
    op.create_table(
        "variables",
        sa.Column("id", sa.Text, primary_key=True),
        _workspace_id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("edited_by", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        _changed_version(),
        sa.UniqueConstraint("workspace_id", "name"),
    )
    op.create_table(
        "schedules",
        sa.Column("pipe_id", sa.Text, sa.ForeignKey("pipes.id", ondelete="CASCADE"), primary_key=True),
        _workspace_id(),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False, index=True),
        sa.Column("job_id", sa.Text, nullable=False),
    )
    op.add_column("workspaces", sa.Column("limits", sa.Text, nullable=False, server_default="{}"))
    op.add_column("datasources", sa.Column("hold", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE catalog_schema SET version = 3")


def downgrade() -> None:
    """Drop them, and what was recorded of dropped ones: gateways of then do not know the kinds."""
    op.execute("DELETE FROM catalog_tombstones WHERE kind IN ('pipes', 'variables')")
    op.drop_column("datasources", "hold")
    op.drop_column("workspaces", "limits")
    for table in ("schedules", "variables", "pipes"):
        op.drop_table(table)
    op.execute("UPDATE catalog_schema SET version = 2")
