"""`sluice serve` with a certificate speaks HTTPS, on every path a request can take, and nothing else."""

import socket
import ssl
import subprocess
import sys
import time

import orjson
import pytest

from tests.support.certificates import write_certificate
from tests.support.gateway import Gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = write_certificate(directory / "files", "127.0.0.1")
    options = ("--tls-certificate", str(certificate), "--tls-key", str(key), "--trusted-proxies", "127.0.0.1")
    gateway = Gateway(directory, *options)
    gateway.tls = ssl.create_default_context(cafile=certificate)
    gateway.start()
    yield gateway
    gateway.end()


def test_events_arrive_over_one_encrypted_connection_also_on_the_shortcut(gateway):
    name = gateway.create_datasource("n UInt32 `json:$.n`")
    connection = gateway.http()
    for n in range(50):
        head = {"Authorization": f"Bearer {gateway.token}"}
        connection.request("POST", f"/v0/events?name={name}", orjson.dumps({"n": n}), head)
        answer = connection.getresponse()
        assert (answer.status, orjson.loads(answer.read())) == (202, {"successful_rows": 1, "quarantined_rows": 0})
    connection.close()

    gateway.await_count(name, 50)
    assert gateway.sql(f"SELECT count() AS c, uniqExact(n) AS u FROM {name}") == [{"c": 50, "u": 50}]


def test_a_body_larger_than_one_record_of_tls_arrives(gateway):
    name = gateway.create_datasource("n UInt32 `json:$.n`, t String `json:$.t`")
    body = b"\n".join(orjson.dumps({"n": n, "t": "x" * 1000}) for n in range(3000))

    assert gateway.post_events(name, body, wait="true").counts == (200, 3000, 0)


def test_metrics_say_when_the_certificate_expires(gateway):
    (line,) = (each for each in gateway.get("/metrics").text.splitlines() if each.startswith("sluice_tls_expiry"))

    assert 0 < float(line.split()[1]) - time.time() < 3600  # it was made for an hour


def test_plain_http_is_not_answered_and_does_no_harm(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in plain.recv(1000)

    assert gateway.get("/health").status == 200


def test_links_say_https_and_what_a_trusted_proxy_says(gateway):
    assert gateway.get("/v0/regions").json["regions"][0]["host"] == f"https://127.0.0.1:{gateway.port}"
    said = {"X-Forwarded-Host": "sluice.example", "X-Forwarded-Proto": "https"}
    assert gateway.request("GET", "/v0/regions", headers=said).json["regions"][0]["host"] == "https://sluice.example"


def test_settings_that_cannot_work_are_refused_by_name(tmp_path):
    certificate, _ = write_certificate(tmp_path, "127.0.0.1")
    for options, sentence in [
        (["--tls-key", str(certificate)], "tls_key is of no use without tls_certificate"),
        (["--tls-certificate", str(tmp_path / "missing")], "tls_certificate and tls_key can not be used: No such file"),
        (["--tls-certificate", str(certificate)], "can not be used: they are no certificate and its key in PEM"),
        (["--trusted-proxies", "proxy.example"], 'trusted_proxies has an entry "proxy.example"'),
    ]:
        command = [sys.executable, "-m", "gateway", "check-config", *options]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert found.returncode != 0
        assert sentence in found.stderr
