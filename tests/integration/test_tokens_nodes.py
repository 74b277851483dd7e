"""Two nodes that share their metadata: what one answers about tokens, the other has heard."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.gateway import Gateway, shared_gateway  # noqa: F401  a fixture
from tests.support.jwts import claims, sign

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def other(gateway, tmp_path_factory):
    """A second node, with the metadata and the secret of the shared gateway."""
    database = f"sqlite+aiosqlite:///{gateway.data_dir / 'metadata.db'}"
    node = Gateway(tmp_path_factory.mktemp("node"), "--database-url", database)
    node.data_dir.mkdir()
    shutil.copy(gateway.data_dir / "secret", node.data_dir / "secret")
    try:
        node.start()
        yield node
    finally:
        node.end()


def test_a_node_with_another_secret_on_the_same_database_is_refused(gateway, other, tmp_path):
    """It makes a secret of its own, as any does on an empty data directory."""
    command = [sys.executable, "-m", "gateway", "serve", "--data-dir", tmp_path, "--port", "0"]
    command += ["--database-url", gateway.database_url]

    refused = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )

    assert refused.returncode == 2
    assert "with another secret uses" in refused.stderr or "has another secret" in refused.stderr
    assert "SLUICE_SECRET" in refused.stderr
    assert other.get("/ready", token="").status == 200


def valid(node, token):
    """What a dozen connections say, so that all workers are asked."""
    return {node.get("/v0/auth", token=token).json["is_valid"] for _ in range(12)}


def test_what_one_node_makes_the_other_knows_and_what_it_ends_has_ended_there(gateway, other):
    made = gateway.post("/v0/tokens", name=gateway.new_name("node"), scope="PIPES:CREATE").json
    path = f"/v0/tokens/{made['id']}"
    assert valid(other, made["token"]) == {True}

    refreshed = gateway.request("POST", f"{path}/refresh", b"").json["token"]
    assert valid(other, made["token"]) == {False}
    assert valid(other, refreshed) == {True}

    other.request("DELETE", path, token=gateway.token)
    assert valid(gateway, refreshed) == valid(other, refreshed) == {False}


def test_jwts_end_everywhere_with_the_key_they_were_signed_with(gateway, other):
    workspace_id = gateway.get("/v1/workspace").json["id"]
    told = claims(workspace_id, {"type": "PIPES:READ", "resource": "top"})
    old = sign(gateway.token, told)
    assert valid(other, old) == valid(gateway, old) == {True}

    gateway.token = gateway.request("POST", "/v0/tokens/workspace%20admin%20token/refresh", b"").json["token"]
    gateway.tokens["workspace_admin_token"] = gateway.token

    assert valid(other, old) == valid(gateway, old) == {False}
    assert valid(other, sign(gateway.token, told)) == {True}
