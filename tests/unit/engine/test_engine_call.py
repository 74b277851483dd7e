"""What a request asks for, and who may ask."""

from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.engine.call import authenticate, parse, parse_form, quote, quote_name, split_target
from gateway.engine.errors import EngineError
from gateway.engine.lexer import Kind, tokens
from gateway.engine.options import EngineOptions

OPTIONS = EngineOptions(data_dir=Path(), password="secret")


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("params", "headers"),
    [
        ({"user": b"default", "password": b"secret"}, {}),
        ({"password": b"secret"}, {}),
        ({}, {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "secret"}),
        ({}, {"x-clickhouse-key": "secret"}),
        ({}, basic("default", "secret")),
    ],
)
def test_the_password_opens_in_each_of_its_places(params, headers):
    authenticate(OPTIONS, params, CIMultiDict(headers))


@pytest.mark.parametrize(
    ("params", "headers"),
    [
        ({}, {}),
        ({"user": b"default"}, {}),
        ({"user": b"other", "password": b"secret"}, {}),
        ({}, basic("default", "wrong")),
        ({}, {"Authorization": "Bearer secret"}),
        ({}, {"Authorization": "Basic §"}),
        ({}, {"Authorization": ""}),
        ({"password": b"secret"}, basic("default", "secret")),
        ({"password": b"\xff\x00"}, {}),
    ],
)
def test_anything_else_is_refused_with_516(params, headers):
    with pytest.raises(EngineError) as refused:
        authenticate(OPTIONS, params, CIMultiDict(headers))

    assert (refused.value.code, refused.value.status) == (516, 403)
    assert "secret" not in str(refused.value)


def test_parameters_are_of_the_protocol_placeholders_or_settings():
    params = parse_form(b"query=SELECT+%7Bx%3AUInt8%7D&param_x=1&max_threads=2&database=d&session_id=s&query_id=q")

    call = parse(OPTIONS, "POST", params, CIMultiDict(), "new")

    assert call.query == b"SELECT {x:UInt8}"
    assert (call.params, call.settings, call.database) == ({"x": b"1"}, {"max_threads": b"2"}, b"d")
    assert (call.query_id, call.session.id, call.session.timeout_seconds) == ("q", "s", 60)


def test_headers_stand_in_for_parameters():
    headers = CIMultiDict({"X-ClickHouse-Database": "d", "X-ClickHouse-Format": "JSON"})

    call = parse(OPTIONS, "POST", {}, headers, "new")

    assert (call.database, call.default_format, call.query_id) == (b"d", "JSON", "new")


def test_get_reads_only():
    assert parse(OPTIONS, "GET", {}, CIMultiDict(), "").readonly == 2
    assert parse(OPTIONS, "GET", {"readonly": b"1"}, CIMultiDict(), "").readonly == 1
    assert parse(OPTIONS, "GET", {"readonly": b"0"}, CIMultiDict(), "").readonly == 2
    assert parse(OPTIONS, "POST", {}, CIMultiDict(), "").readonly == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"max threads": b"1"}, 115),
        ({"a=1, readonly": b"0"}, 115),
        ({"param_x=1, readonly": b"0"}, 408),
        ({"default_format": b"JSON; DROP"}, 73),
        ({"session_id": b"s", "session_timeout": b"9999"}, 374),
        ({"buffer_size": b"much"}, 408),
        ({"compress": b"1"}, 48),
        ({"decompress": b"1"}, 48),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_code(params, code):
    with pytest.raises(EngineError) as refused:
        parse(OPTIONS, "POST", params, CIMultiDict(), "")

    assert refused.value.code == code


@given(st.binary(max_size=50))
def test_a_quoted_value_is_one_token_whatever_it_holds(value):
    assert [(token.kind, token.start) for token in tokens(quote(value) + b" ")] == [(Kind.STRING, 0)]
    assert [(token.kind, token.start) for token in tokens(quote_name(value) + b" ")] == [(Kind.QUOTED, 0)]


@given(st.text(max_size=100))
def test_any_target_can_be_split(target):
    split_target("/?" + target)


def test_percent_escapes_need_not_be_utf8():
    assert split_target("/?query=%ff%00+x&&y") == ("/", {"query": b"\xff\x00 x", "y": b""})
