"""Metrics of several processes add up, live through a restart, and do not need a disk with room."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.telemetry import metrics

ROOT = Path(__file__).parents[2]

# A process that counts as its arguments say, and then is killed, as workers are: nothing is closed.
COUNTER = """
import os, resource, signal, sys
from pathlib import Path
from gateway.telemetry import metrics
directory, name, rows, file_bytes_max = sys.argv[1:]
if file_bytes_max != "0":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes_max), int(file_bytes_max)))
try:
    metrics.start(Path(directory), name)
except OSError as error:
    print("not shared:", error.strerror)
metrics.accepted_rows.labels("ws.events").inc(int(rows))
metrics.pending_rows.labels("ws.events").set(int(rows))
metrics.oldest_pending_row_seconds.labels().set(int(rows))
metrics.flush_seconds.labels().observe(0.02)
print(metrics.render()[0].decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def count(directory, name, rows, file_bytes_max=0):
    """Run a process that counts `rows` and is killed; return what `render` said in it."""
    arguments = [sys.executable, "-c", COUNTER, str(directory), name, str(rows), str(file_bytes_max)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=ROOT, timeout=20)
    assert done.stderr == ""
    return done.stdout


def value(text, sample):
    """Return the value of `sample`, or None."""
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == sample]
    return float(found[0]) if found else None


ACCEPTED = 'sluice_ingest_accepted_rows_total{datasource="ws.events"}'
PENDING = 'sluice_buffer_pending_rows{datasource="ws.events"}'
OLDEST = "sluice_buffer_oldest_pending_row_seconds"
FLUSHES = "sluice_flush_seconds_count"


def test_processes_add_up_counters_and_gauges_each_in_its_way(tmp_path):
    count(tmp_path, "worker-0", 3)

    text = count(tmp_path, "worker-1", 5)

    assert value(text, ACCEPTED) == 8
    assert value(text, PENDING) == 8
    assert value(text, OLDEST) == 5
    assert value(text, FLUSHES) == 2
    assert value(text, 'sluice_flush_seconds_bucket{le="0.025"}') == 2


def test_counters_go_on_after_a_kill_and_the_files_do_not_pile_up(tmp_path):
    for _ in range(3):
        text = count(tmp_path, "worker-0", 7)

    assert value(text, ACCEPTED) == 21
    assert value(text, FLUSHES) == 3
    assert len(list(tmp_path.iterdir())) == 4


def test_the_gauges_of_the_dead_are_forgotten_and_the_counters_kept(tmp_path):
    count(tmp_path, "worker-0", 3)

    metrics.forget(tmp_path, "worker-0")

    text = count(tmp_path, "worker-1", 5)
    assert value(text, ACCEPTED) == 8
    assert value(text, PENDING) == 5


def test_a_cold_start_forgets_the_run_before(tmp_path):
    count(tmp_path, "worker-0", 3)

    metrics.clear(tmp_path)

    assert value(count(tmp_path, "worker-0", 4), ACCEPTED) == 4


def test_without_room_for_the_files_a_process_counts_in_memory(tmp_path):
    text = count(tmp_path, "worker-0", 3, file_bytes_max=200_000)

    assert "not shared: File too large" in text
    assert value(text, ACCEPTED) == 3


def test_the_files_have_no_holes_that_a_full_disk_could_kill_by(tmp_path):
    count(tmp_path, "worker-0", 3)

    for file in tmp_path.iterdir():
        stat = file.stat()
        assert stat.st_blocks * 512 >= stat.st_size >= 1 << 20


@pytest.mark.parametrize("name", ["clear", "forget"])
def test_a_directory_that_is_not_there_has_nothing_to_forget(tmp_path, name):
    arguments = (tmp_path / "none",) if name == "clear" else (tmp_path / "none", "worker-0")

    assert getattr(metrics, name)(*arguments) is None
