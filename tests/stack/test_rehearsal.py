"""docker-compose.yml, run: see deploy/rehearse."""

import os
import re
import subprocess
import sys

from deploy.rehearse.stack import ROOT
from deploy.rehearse.tools import find
from tests.support.certificates import write_certificate

SECONDS_MAX = 240  # a machine may be busy; it takes 40


def test_the_stack_starts_in_its_order_serves_and_stops():
    done = subprocess.run(
        [sys.executable, "deploy/rehearse"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )

    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert "Everything held" in done.stdout
    run, _, absent = done.stdout.partition("\nNot run here\n")
    for name in ("postgres", "clickhouse", "gateway-1", "gateway-2", "worker"):
        assert re.search(rf"^  {name} .* 0, after", run, re.MULTILINE), name
    for name in ("grafana", "keeper-1", "clickhouse-2-2", "k6"):
        assert re.search(rf"^  {name} ", absent, re.MULTILINE), name
    if find("haproxy") is not None:
        assert "0 failed" in run
    if find("prometheus") is not None:
        assert re.search(r" ([1-9]) of \d targets up", run)


def test_haproxy_takes_its_configuration_with_https_too(tmp_path):
    haproxy = find("haproxy")
    if haproxy is None:
        return  # the rehearsal says so in its table
    certificate, key = write_certificate(tmp_path / "files", "sluice.example")
    whole = tmp_path / "tls.pem"
    whole.write_bytes(certificate.read_bytes() + key.read_bytes())
    files = [word for name in ("haproxy", "tls") for word in ("-f", ROOT / "deploy" / "haproxy" / f"{name}.cfg")]
    environment = os.environ | haproxy.environment | {"SLUICE_PROXY_CERTIFICATE": str(whole)}

    judged = subprocess.run([haproxy.path, "-c", *files], env=environment, capture_output=True, text=True, check=False)

    assert judged.returncode == 0, judged.stderr
    assert "[WARNING]" not in judged.stderr
