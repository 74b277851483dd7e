"""What a failing view is told as: ClickHouse's reason, without the names that only we know."""

from gateway.flush.retry import view_failure


def test_the_reason_of_a_view_is_told_without_our_names():
    message = "Code: 395. DB::Exception: no in ws_0123456789ab.t_1: while pushing to view ws_0123456789ab.t_2__view"
    assert view_failure(message) == ("t_2__view", "Code: 395. DB::Exception: no in t_1")


def test_a_view_that_the_message_does_not_name_fails_all_the_same():
    assert view_failure("no: while pushing to view ") == ("", "no")


def test_other_failures_are_no_views():
    assert view_failure("Code: 60. Table does not exist") == ("", "")
