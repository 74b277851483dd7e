"""A rate limit, one setting away: events.md §11, item 12."""

import pytest

from tests.support.gateway import Gateway


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    gateway = Gateway(tmp_path_factory.mktemp("limited"), "--events-requests-per-second-max", "4")
    gateway.start()
    yield gateway
    gateway.end()


def test_a_rate_limit_answers_429_with_integer_headers_and_lets_in_again(limited):
    name = limited.create_datasource("id UInt32 `json:$.id`")
    answers = [limited.post_events(name, b'{"id": 1}') for _ in range(12)]
    refused = [answer for answer in answers if answer.status == 429]
    accepted = [answer for answer in answers if answer.status == 202]

    assert accepted
    assert refused
    assert len(refused[0].error) > 10
    assert int(refused[0].headers["Retry-After"]) >= 1
    for answer in (refused[0], accepted[0]):
        assert int(answer.headers["X-RateLimit-Limit"]) > 0
        assert int(answer.headers["X-RateLimit-Remaining"]) >= 0
        assert int(answer.headers["X-RateLimit-Reset"]) >= 1
    assert refused[0].headers["Access-Control-Allow-Origin"] == "*"
    for _ in range(2000):
        if limited.post_events(name, b'{"id": 1}').status == 202:
            return
    raise AssertionError("nobody was let in again")


def test_without_the_setting_there_is_no_limit_and_no_header(limited):
    other = limited.create_datasource("id UInt32 `json:$.id`")

    assert limited.post_events(other, b'{"id": 1}').status == 202
    assert "X-RateLimit-Limit" not in limited.get("/v0/datasources").headers
