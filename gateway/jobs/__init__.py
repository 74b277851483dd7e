"""Jobs: work that takes longer than a request, done once, whatever dies meanwhile.

    models   what a job is, and which way it goes
    rows     a job as a row of the database, and back                     pure
    store    JobStore: every way a job changes; who holds it
    context  JobContext: what the code of a job sees: its checkpoint
    run      JobRunner: takes jobs, keeps them, ends them

A job is a row. Whoever works on it holds a lease, renewed by a heartbeat: a worker that dies lets it run out, and
another goes on from the last checkpoint. Every write names the lease, so one who lost it can change nothing any more.
"""

from gateway.jobs.context import JobCancelled, JobContext, JobFailed, JobHandler
from gateway.jobs.models import Filters, Job, NewJob, Status
from gateway.jobs.run import JobRunner, RunnerOptions
from gateway.jobs.store import JobLost, JobStore

__all__ = [
    "Filters",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobFailed",
    "JobHandler",
    "JobLost",
    "JobRunner",
    "JobStore",
    "NewJob",
    "RunnerOptions",
    "Status",
]
