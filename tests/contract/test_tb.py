"""Tinybird's own command line (PyPI: tinybird, which its SDK brings along), driven unmodified over what this gateway reads."""

import os
import subprocess

import orjson
import pytest

from tests.support.copies import make_copy
from tests.support.gateway import Gateway
from tests.support.pipes import make_endpoint, make_pipe
from tests.support.sdk import PYTHON, Sdk, needs_sdk

pytestmark = needs_sdk


@pytest.fixture
def tb(gateway: Gateway, tmp_path):
    def run(*arguments: str) -> str:
        where = ["--cloud", "--host", f"http://127.0.0.1:{gateway.port}", "--token", gateway.token]
        done = subprocess.run(
            [str(PYTHON.parent / "tb"), *where, *arguments],
            check=False,
            cwd=tmp_path,
            env=os.environ | {"HOME": str(tmp_path), "TB_VERSION_WARNING": "0", "TB_CLI_TELEMETRY_OPTOUT": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def shop(gateway):
    """A materialized pipe, a copy and an endpoint over one data source."""
    source = gateway.create_datasource("k String `json:$.k`, n UInt32 `json:$.n`")
    view = make_pipe(gateway, ("agg", f"SELECT k, sum(n) AS s FROM {source} GROUP BY k"))
    target = gateway.new_name("target")
    linked = gateway.post(f"/v0/pipes/{view}/nodes/agg/materialization", datasource=target)
    assert linked.status == 200, linked.text
    copied = gateway.create_datasource("k String, n UInt32")
    copy = make_copy(gateway, f"SELECT k, n FROM {source}", copied)
    endpoint = make_endpoint(gateway, f"% SELECT k, s FROM {target} WHERE s > {{{{Int32(least, 0)}}}} ORDER BY k")
    gateway.post_events(source, [{"k": "a", "n": 1}, {"k": "b", "n": 5}], wait="true")
    return {"view": view, "target": target, "copy": copy, "copied": copied, "endpoint": endpoint, "source": source}


def test_tb_shows_materializations(tb, shop):
    said = tb("materialization", "ls", "--format", "json")
    pipes = orjson.loads(said[said.index("{") : said.rindex("}") + 1])["pipes"]
    found = next(each for each in pipes if each["name"] == shop["view"])
    assert (found["nodes"], found["target datasource"]) == (1, shop["target"])


def test_tb_runs_copies_queries_and_endpoints(tb, shop, gateway):
    tb("copy", "run", shop["copy"], "--wait", "--yes")
    assert gateway.count(shop["copied"]) == 2
    assert '"s": 6' in tb("--output", "json", "sql", f"SELECT sum(s) AS s FROM {shop['target']}").replace('"6"', "6")
    answer = tb("endpoint", "data", shop["endpoint"], "--least", "1")
    assert "| b | 5 |" in answer
    assert "| a |" not in answer


def test_tb_pulls_the_files_of_everything(tb, shop, tmp_path):
    tb("pull", "--force")
    texts = {path.stem: path.read_text() for path in tmp_path.rglob("*.pipe")}
    assert f"DATASOURCE {shop['target']}" in texts[shop["view"]]
    assert f"TARGET_DATASOURCE {shop['copied']}" in texts[shop["copy"]]
    assert "TYPE endpoint" in texts[shop["endpoint"]]
    assert shop["source"] in {path.stem for path in tmp_path.rglob("*.datasource")}


def test_the_sdk_reads_what_a_materialized_pipe_and_a_copy_are(gateway, shop):
    sdk = Sdk(gateway)
    view, copy = sdk("resources.get_pipe", shop["view"]), sdk("resources.get_pipe", shop["copy"])
    assert (view["type"], view["materialized"]["datasource"]) == ("materialized", shop["target"])
    assert (copy["type"], copy["copy"]["target_datasource"]) == ("copy", gateway.datasource_id(shop["copied"]))
