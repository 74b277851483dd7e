"""Jobs. Going down forgets them: those under way never end, what is recorded of ended ones is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table of jobs."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("datasource_id", sa.Text, nullable=False),
        sa.Column("datasource_name", sa.Text, nullable=False),
        sa.Column("pipe_id", sa.Text, nullable=False),
        sa.Column("pipe_name", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("shown_first", sa.Text, nullable=False),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("errors", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("lease", sa.Text, nullable=False),
        sa.Column("due_at", sa.Double, index=True),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_index("ix_jobs_listed", "jobs", ["workspace_id", "created_at"])
    op.execute("UPDATE catalog_schema SET version = 2")


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("jobs")
    op.execute("UPDATE catalog_schema SET version = 1")
