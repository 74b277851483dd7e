"""Changes: the jobs of all workspaces that did something since one last looked. For logs; nobody's work."""

from sqlalchemy import or_, select

from gateway.catalog.database import Database
from gateway.catalog.tables import jobs
from gateway.jobs.models import UNSEEN, Job
from gateway.jobs.rows import job_of


async def changed_jobs(database: Database, after: float, limit: int) -> list[Job]:
    """Return jobs that changed, or were taken up first, at `after` or later (unix time); the longest ago first.

    Raises:
        Unavailable: the database does not answer.
    """
    is_new = or_(jobs.c.updated_at >= after, jobs.c.started_at >= after)
    query = select(jobs).where(is_new, jobs.c.kind != UNSEEN).order_by(jobs.c.updated_at, jobs.c.id).limit(limit)
    async with database.reading() as transaction:
        return await transaction.each(query, job_of)
