"""When a schedule is due, in UTC."""

from datetime import UTC, datetime

import pytest

from gateway.schema.cron import is_cron, next_time


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("* * * * *", "2026-01-01T10:00:00", "2026-01-01T10:01:00"),
        ("* * * * *", "2026-01-01T10:00:59.999", "2026-01-01T10:01:00"),
        ("*/15 * * * *", "2026-01-01T10:59:00", "2026-01-01T11:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("30 8 * * mon-fri", "2026-01-02T08:30:00", "2026-01-05T08:30:00"),
        ("0 12 L * *", "2026-02-01T00:00:00", "2026-02-28T12:00:00"),
        # A day of the month and one of the week: either will do, as cron has always had it.
        ("0 0 13 * fri", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
    ],
)
def test_a_schedule_is_due_at_the_next_moment_that_its_expression_names(cron, after, due):
    assert next_time(cron, moment(after)) == moment(due)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "* * * * * *", "@hourly", "*" * 300, "1-0 * * * *", "5L/2 * * * *", ""])
def test_what_names_no_moment_is_no_schedule(text):
    assert not is_cron(text)
