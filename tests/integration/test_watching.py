"""What operators look at, on what runs: a gateway, a worker by itself, the engine, Prometheus' own tool."""

import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from functools import partial

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.rehearse import tools
from gateway.telemetry import metrics
from tests.support import promql, waiting
from tests.support.engine import engine_process
from tests.support.gateway import Gateway, shared_gateway, show_gateway_log  # noqa: F401  fixtures
from tests.support.pipes import make_endpoint, rows

until = partial(waiting.until, seconds_max=30)

# Shown only while it happens, or after it did: a backup, a limit that is reached, a full buffer, a job that waits or runs.
NOT_ALWAYS = {
    "sluice_backup_taken_timestamp_seconds",
    "sluice_http_limited_requests_total",
    "sluice_http_refused_requests_total",
    "sluice_jobs_open_jobs",
}


def series(text):
    """Names with their labels, of an answer of /metrics."""
    return {
        (sample.name, frozenset(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def exported(gateway):
    """What a gateway exports that was used a little."""
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    assert gateway.post_events(name, b'{"n": 1}\n{"n": "one"}\n{}', wait="true").counts == (200, 1, 2)
    gateway.post_events(name, [{"n": 2}])
    pipe = make_endpoint(
        gateway, f"%\nSELECT count() AS rows FROM {name} WHERE n > {{{{Int32(least, required=True)}}}}"
    )
    assert rows(gateway, pipe, least="0")
    assert gateway.get(f"/v0/pipes/{pipe}.json").status == 400
    answer = gateway.post("/v0/datasources", b"3\n4\n", mode="append", name=name, format="csv")
    assert answer.status == 200, answer.text
    # What workers look at every half second, and write down as often, comes last.
    wanted = {"sluice_http_endpoint_errors_total", "sluice_buffer_pending_rows"}
    return until(
        lambda: series(gateway.get("/metrics", token="").text), lambda found: wanted <= {name for name, _ in found}
    )


def test_what_rules_and_dashboards_ask_for_is_exported_with_the_labels_they_name(exported):
    found = dict(exported)
    asked = {}
    for _where, expression, _shown in promql.expressions():
        for name, labels in promql.used(expression).items():
            asked.setdefault(name, set()).update(labels)

    ours = {name: labels for name, labels in asked.items() if name.startswith("sluice_") and name not in NOT_ALWAYS}
    assert len(ours) > 30
    assert {name for name in ours if name not in found} == set()
    assert {name: labels - found[name] for name, labels in ours.items() if not labels <= found[name]} == {}


def test_what_is_exported_is_declared(exported):
    declared = {each.name: set(each.label_names) for each in metrics.declared()}

    for name, labels in exported:
        base = name if name in declared else re.sub("_(bucket|sum|count)$", "", name)
        assert labels - {"le"} == declared[base], name


def test_what_is_asked_of_clickhouse_it_knows(tmp_path):
    asked = {name for _, expression, _ in promql.expressions() for name in promql.used(expression)}
    asked = {name for name in asked if name.startswith("ClickHouse")}
    assert asked
    query = (
        "SELECT concat('ClickHouseMetrics_', metric) FROM system.metrics UNION ALL "
        "SELECT concat('ClickHouseProfileEvents_', event) FROM system.events "
        "SETTINGS system_events_show_zero_values = 1 FORMAT TSV"
    )
    with engine_process(tmp_path) as engine:
        request = urllib.request.Request(engine.url, query.encode(), engine.auth)
        with urllib.request.urlopen(request, timeout=20) as answer:
            known = set(answer.read().decode().split())

    # The engine as a library has no asynchronous metrics: these three are of ClickHouse's documentation.
    assert asked - known == {
        "ClickHouseAsyncMetrics_MaxPartCountForPartition",
        "ClickHouseAsyncMetrics_MemoryResident",
        "ClickHouseAsyncMetrics_ReplicasMaxAbsoluteDelay",
    }


@pytest.fixture(scope="module")
def promtool():
    """Prometheus' own tool: installed, or of Debian's package, unpacked."""
    found = shutil.which("promtool")
    if found is None:
        package = tools.find("prometheus")
        if package is None:
            pytest.skip("no promtool, and no Debian to have it from")
        found = package.path.with_name("promtool")
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["check", "rules", "sluice.yml"],
        ["test", "rules", "tests/sluice.yml", "tests/backups.yml"],
        ["check", "config", "../prometheus.yml"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_promtool_agrees(promtool, command):
    done = subprocess.run([promtool, *command], cwd=promql.RULES.parent, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_node_that_is_well_and_has_nothing_to_do_fires_no_alert(promtool, tmp_path):
    """What it exports, unchanged for an hour and more; how full this machine's disk is, is another matter."""
    gateway = Gateway(tmp_path, "--workers", "1")
    try:
        gateway.start()
        text = until(lambda: gateway.get("/metrics", token="").text, lambda found: 'process="jobs-0"' in found)
    finally:
        gateway.end()
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    shown = [
        {"series": f"{each.name}{{{labels_of(each)}}}", "values": f"{each.value!r}x80"}
        for each in samples
        if each.name != "sluice_log_free_bytes"
    ]
    shown.append({"series": 'up{job="sluice", instance="a"}', "values": "1x80"})
    ask_for = {"expr": "count by (alertname, alertstate) (ALERTS)", "eval_time": "70m"}
    waits = {"labels": '{alertname="SluiceBackupMissing", alertstate="pending"}', "value": 1}
    test = {"interval": "1m", "input_series": shown, "promql_expr_test": [{**ask_for, "exp_samples": [waits]}]}
    file = tmp_path / "idle.yml"
    rules = [str(promql.RULES.parent / "sluice.yml")]
    file.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))

    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)

    assert len(shown) > 50
    assert done.returncode == 0, done.stdout + done.stderr


def labels_of(sample):
    labels = {**sample.labels, "job": "sluice", "instance": "a"}
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def worker(engine, tmp_path, port):
    url = engine.url.replace("://", f"://{engine.user}:{engine.password}@")
    command = [sys.executable, "-m", "gateway", "worker", "--clickhouse-url", url, "--worker-port", str(port)]
    return subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data"), "--log-format", "text"],
        cwd=promql.ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_with_a_port_answers_whoever_watches_over_it(tmp_path):
    port = free_port()
    with engine_process(tmp_path / "engine") as engine, worker(engine, tmp_path, port) as process:
        try:
            until(lambda: answers(port))
            until(lambda: "process_resident_bytes{" in ask(port, "/metrics")[1])
            found = dict(series(ask(port, "/metrics")[1]))

            assert ask(port, "/health") == (200, '{"status":"ok"}')
            assert found["sluice_process_resident_bytes"] == {"process"}
            assert found["sluice_jobs_lost_total"] == {"kind"}
            assert ask(port, "/v0/events", "POST")[0] == 405
            assert ask(port, "/tokens")[0] == 404
            assert not (tmp_path / "data" / "run" / "metrics").exists()  # or a gateway would show them once more

            with worker(engine, tmp_path, port) as second:
                assert second.wait(30) == 1
                assert "choose another worker_port" in second.stderr.read()
        finally:
            process.terminate()
            process.wait(30)
            process.stderr.read()


def answers(port):
    try:
        return ask(port, "/health")[0] == 200
    except OSError:
        return False
