"""When a backup was last taken. Gateways of 0003 go on beside it. Going down forgets it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "backups",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("taken_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("backups")
