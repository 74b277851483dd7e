"""`sluice serve` as a person starts it: supervisor, embedded engine, workers; and each role alone."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60  # a machine may be busy; a test that needs it has failed


@contextmanager
def sluice(tmp_path, *arguments, until, **environment):
    """Run a command of sluice until its output has the pattern `until`; give the process and the match."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
    with (tmp_path / "stderr").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=ROOT,
            env=outside | {"SLUICE_DATA_DIR": str(tmp_path / "data"), "SLUICE_PORT": "0"} | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            for line in iter(process.stdout.readline, ""):
                if match := re.search(until, line):
                    break
            else:
                pytest.fail((tmp_path / "stderr").read_text())
            yield process, match
        finally:
            process.kill()


def get(url):
    """Return the status and body of `url`; (0, "") while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def children(process):
    """Return the children of `process`, by the name that `ps` shows."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in pids}
    return {line[-2]: int(pid) for pid, line in lines.items() if "child" in line}


def test_what_dies_comes_back_and_a_stop_is_clean(tmp_path):
    short = {"SLUICE_ADMIN_TOKEN": "hunter2"}
    with sluice(tmp_path, "serve", "--workers", "2", until=r"answers at (http://\S+)", **short) as (process, match):
        url = match[1]
        # Nobody waits for it before the gateway says that it answers.
        until(lambda: "jobs-0" in children(process), seconds_max=SECONDS_MAX)
        before = children(process)
        assert set(before) == {"engine", "worker-0", "worker-1", "jobs-0"}
        assert get(f"{url}/health")[0] == 200

        os.kill(before["engine"], signal.SIGKILL)
        os.kill(before["worker-0"], signal.SIGKILL)
        os.kill(before["jobs-0"], signal.SIGKILL)

        until(lambda: len(children(process).items() - before.items()) == 3, seconds_max=SECONDS_MAX)
        assert get(f"{url}/health")[0] == 200
        after = children(process)
        assert {name for name in after if after[name] != before[name]} == {"engine", "worker-0", "jobs-0"}

        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    said = (tmp_path / "stderr").read_text()
    assert "password" not in said
    assert "use at least 32 random characters, it has 7" in said
    assert "hunter2" not in said


def test_a_clickhouse_that_does_not_answer_is_named_at_the_start(tmp_path):
    url = "http://127.0.0.1:1/"
    with sluice(tmp_path, "serve", "--workers", "1", "--clickhouse-url", url, until="answers at") as (process, _):
        said = until(
            (tmp_path / "stderr").read_text, lambda text: "clickhouse.unusable" in text, seconds_max=SECONDS_MAX
        )
        assert "is clickhouse_url right" in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0


def test_each_role_runs_alone(tmp_path):
    address = "http://default:a-password@127.0.0.1:0/"
    with sluice(tmp_path, "engine", until=r"answers at \S+:(\d+)", SLUICE_CLICKHOUSE_URL=address) as (engine, match):
        reached = address.replace(":0/", f":{match[1]}/")
        alone = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--role", "api", "--clickhouse-url", reached],
            cwd=ROOT,
            env=os.environ | {"SLUICE_DATA_DIR": str(tmp_path / "api"), "SLUICE_PORT": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        with alone:
            lines = iter(alone.stderr.readline, "")
            port = next(found[1] for line in lines if (found := re.search(r'"worker.ready".*"port":(\d+)', line)))

            assert '"clickhouse":"ok"' in get(f"http://127.0.0.1:{port}/ready")[1]

            alone.send_signal(signal.SIGTERM)
            assert alone.wait(SECONDS_MAX) == 0
        engine.send_signal(signal.SIGTERM)
        assert engine.wait(SECONDS_MAX) == 0


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["serve", "--port", "x", "--cors", "maybe"], 2, ["--port", "--cors"]),
        (["serve", "--host", "203.0.113.1"], 1, ["cannot listen on 203.0.113.1"]),
        (
            ["serve", "--data-dir", "/dev/null/x"],
            1,
            ["/dev/null/x: Not a directory. --data-dir (SLUICE_DATA_DIR) must"],
        ),
        (["engine"], 2, ["clickhouse_url must say where"]),
        (["worker"], 2, ["clickhouse_url must say where", "sluice serve"]),
        (["worker", "--clickhouse-url", "http://h/", "--data-dir", "/dev/null/x"], 1, ["/dev/null"]),
        (["serve", "--portt", "1"], 2, ["sluice serve", "--portt is not an option", "did you mean --port?"]),
        (["log", "inspect", "DIR", "--zzz"], 2, ["--zzz is not an option", "sluice log inspect --help"]),
        ([], 2, ["serve", "examples:"]),
        (["child"], 1, ["started by the supervisor"]),
    ],
)
def test_what_cannot_start_says_why_and_leaves_nothing_behind(tmp_path, arguments, code, words):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        check=False,
        cwd=ROOT,
        env={"SLUICE_DATA_DIR": str(tmp_path / "data"), "SLUICE_PORT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )

    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_check_config_shows_what_would_be_used_and_hides_secrets(tmp_path):
    secrets = {"SLUICE_ADMIN_TOKEN": "hunter2hunter2", "SLUICE_CLICKHOUSE_URL": "http://u:hunter2@h/"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check-config", "--batch-rows-max", "5000"],
        check=True,
        cwd=ROOT,
        env={"SLUICE_DATA_DIR": str(tmp_path / "data"), **secrets},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )

    assert re.search(r"^batch_rows_max = 5000 +# flag$", done.stdout, re.MULTILINE)
    assert re.search(r"^# clickhouse_url = http://u:\[hidden\]@h/ +# environment$", done.stdout, re.MULTILINE)
    assert "hunter2" not in done.stdout
    assert not (tmp_path / "data").exists()

    (tmp_path / "shown.toml").write_text(done.stdout)
    again = subprocess.run(
        [sys.executable, "-m", "gateway", "check-config", "--config", str(tmp_path / "shown.toml")],
        check=True,
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert "batch_rows_max = 5000" in again.stdout
