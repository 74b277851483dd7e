"""verdin 0.5 (PyPI), driven unmodified: files it appends. What it reads of an answer, it finds."""

from collections.abc import Iterator

import pytest
from verdin.api.apis import Apis
from verdin.client import Client

from tests.support.gateway import Gateway
from tests.support.imports import SCHEMA, rows

ROWS = [(1, "a"), (2, "b")]


@pytest.fixture
def name(gateway: Gateway) -> str:
    return gateway.create_datasource(SCHEMA)


@pytest.fixture
def api(gateway: Gateway) -> Iterator[Apis]:
    """Its sessions are never closed by itself, and warnings are errors here."""
    apis = Client(gateway.token, f"http://127.0.0.1:{gateway.port}").api
    kept = apis.datasources
    yield kept
    kept.session.close()


def test_verdin_appends_csv_and_ndjson(gateway, name, api):
    first = api.append(name, "1,a\n", format="csv")
    second = api.append(name, '{"id": 2, "name": "b"}\n', format="ndjson")

    for answer in (first, second):
        assert not answer.error
        assert (answer.quarantine_rows, answer.invalid_lines) == (0, 0)
        assert answer.datasource["name"] == name
        assert answer.import_id
    assert rows(gateway, name) == ROWS


def test_verdin_is_told_of_bad_lines(gateway, name, api):
    answer = api.append(name, "1,a\nx,b\nno\n", format="csv")

    assert answer.error == "There was an error with file contents: 2 rows in quarantine and 1 invalid line."
    assert (answer.quarantine_rows, answer.invalid_lines) == (2, 1)
    assert rows(gateway, name) == [(1, "a")]


def test_verdin_streams_a_body_without_a_length(gateway, name, api):
    answer = api.append(name, (line for line in [b"1,a\n", b"2,b\n"]), format="csv")

    assert not answer.error
    assert rows(gateway, name) == ROWS


def test_verdin_sends_records_with_its_data_source(gateway, name):
    source = Client(gateway.token, f"http://127.0.0.1:{gateway.port}").datasource(name)

    assert source.append([[1, "a"]]).status_code == 200
    assert source.append_ndjson([{"id": 2, "name": "b"}]).status_code == 200

    assert rows(gateway, name) == ROWS
    source._datasources_api.session.close()
    source._events_api.session.close()
