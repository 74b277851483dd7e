"""Conditions over the rows of one data source: let through, or refused with a sentence."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.query.condition import row_condition


@pytest.mark.parametrize(
    "text, written",
    [
        ("id < 10", "`id` < 10"),
        ("clicks.id = 5 AND x IN (1, 2)", "`id` = 5 AND `x` IN (1, 2)"),
        ("toDate(ts) = today() -- now", "toDate(`ts`) = today()"),
        ("(a OR b) AND NOT c", "(`a` OR `b`) AND NOT `c`"),
    ],
)
def test_a_condition_is_written_anew_and_null_does_not_match(text, written):
    assert row_condition(text, "clicks", "The condition") == f"ifNull(({written}), 0) != 0"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "id <",
        "1 = 1; DROP TABLE clicks",
        "id IN (SELECT 1)",
        "id IN other",
        "EXISTS (SELECT 1)",
        "arrayExists(x -> x > 1, a)",
        "a) OR (b",
        "id = 1 FORMAT JSON",
        "id = 1 SETTINGS max_threads = 1",
        "a AS b",
        "file('/etc/passwd') = ''",
        "url('http://x') = ''",
        "dictGet('a', 'b', 1) = 1",
        "sleep(3) = 0",
    ],
)
def test_what_is_no_condition_over_the_rows_is_refused(text):
    with pytest.raises(InvalidRequest, match=" "):
        row_condition(text, "clicks", "The condition")
