"""How limits are written: what is no limit is said in words."""

import pytest

from gateway.admission import parse_limits


def test_limits_are_read():
    text = "workspace.requests=1000, datasource.rows = 50000,token.bytes=10MB, endpoint.requests=0,"

    assert parse_limits(text) == {"workspace.requests": 1000, "datasource.rows": 50_000, "token.bytes": 10_000_000}
    assert parse_limits("") == {}


@pytest.mark.parametrize(
    "text, said",
    [
        ("requests=1", "workspace.requests=1000"),
        ("user.requests=1", "workspace, token, datasource, endpoint"),
        ("token.requests", "no limit"),
        ("token.requests=", "not a whole number"),
        ("token.requests=-1", "not a whole number"),
        ("token.requests=1.5", "not a whole number"),
        ("token.requests=10MB", "not a whole number"),
        ("token.bytes=ten", "not a size"),
        ("token.rows=1,token.rows=2", "twice"),
    ],
)
def test_what_is_no_limit_is_refused_in_words(text, said):
    with pytest.raises(ValueError, match=said):
        parse_limits(text)
