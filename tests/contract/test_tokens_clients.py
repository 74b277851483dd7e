"""Published clients handle tokens, unmodified: verdin (PyPI), and Tinybird's own Python SDK, which mints JWTs."""

import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from verdin.api.base import ApiError
from verdin.client import Client

PYTHON = Path(sys.prefix) / "clients/bin/python"
SCRIPT = Path(__file__).parents[1] / "clients/sdk.py"


@pytest.fixture
def tokens(gateway):
    api = Client(gateway.token, f"http://127.0.0.1:{gateway.port}").api.tokens
    yield api
    api.session.close()


def test_verdin_lists_tokens_and_finds_the_one_it_looks_for(gateway, tokens):
    listed = {each["name"]: each for each in tokens.list().tokens}

    found = listed["admin local_testing@tinybird.co"]
    assert found["token"] == gateway.tokens["admin_token"]
    assert found["token"].startswith("p.e")
    assert found["host"] == "local"
    assert found["is_internal"] is False
    assert tokens.get_information("workspace admin token").info == listed["workspace admin token"]


def test_verdin_is_refused_in_the_words_it_knows(tokens):
    with pytest.raises(ApiError, match="Not enough permissions to get information about this token"):
        tokens.get_information("nobody")


@pytest.mark.skipif(not PYTHON.exists(), reason="`make test` makes the environment of the SDK")
def test_the_sdk_mints_jwts_that_read_what_they_may(gateway):
    def create_jwt(**options):
        address = f"http://127.0.0.1:{gateway.port}"
        command = [str(PYTHON), str(SCRIPT), address, gateway.token, "tokens.create_jwt", orjson.dumps([options])]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        return orjson.loads(done.stdout.splitlines()[-1])

    name = gateway.create_datasource("id UInt32 `json:$.id`")
    gateway.post_events(name, [{"id": 7}, {"id": 8}], wait="true")
    scopes = [{"type": "DATASOURCES:READ", "resource": name, "filter": "id = 7"}]

    made = create_jwt(name="user_1", expires_at=int(time.time()) + 60, scopes=scopes, limits={"rps": 10})
    refused = create_jwt(name="user_1", expires_at=int(time.time()) - 60, scopes=scopes)

    assert gateway.sql(f"SELECT id FROM {name}", token=made["answer"]["token"]) == [{"id": 7}]
    assert "Invalid JWT token request" in refused["error"]
    assert "past" in refused["error"]
