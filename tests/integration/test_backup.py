"""Backup and restore, as an operator does them: the real commands, beside a gateway that is busy."""

import io
import resource
import signal
import subprocess
import sys
import tarfile
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import environment, sluice
from tests.support.gateway import Gateway
from tests.support.pipes import make_pipe
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SCHEMA = "id Int64, text String"
SENDERS = 3
# So little memory that batches have to wait in files.
CRAMPED = ("--buffer-memory-bytes-max", "2MiB", "--batch-bytes-max", "512kB", "--body-bytes-max", "1MB")
FILE_ROWS = 30_000


def sluice_process(*arguments, **options):
    """Run a command to its end, as a process."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def secret_of(gateway):
    return (gateway.data_dir / "secret").read_text().strip()


class Load:
    """Senders that count what was answered."""

    def __init__(self, gateway, name):
        self.gateway, self.name = gateway, name
        self.answered, self.sent = [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number):
        at = number * 10_000_000
        while not self._stop.is_set():
            ids = list(range(at, at + 50))
            at += 50
            self.sent += ids
            rows = [{"id": each, "text": f"row {each}"} for each in ids]
            if self.gateway.post_events(self.name, rows).status in {200, 202}:
                self.answered += ids


class Taken:
    """A gateway that was backed up under load, the backup, and what was answered before and at all."""

    def __init__(self, directory):
        self.directory = directory
        self.gateway = Gateway(directory, *CRAMPED)
        self.archive = directory / "backup.tar"


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    taken = Taken(tmp_path_factory.mktemp("backup"))
    gateway = taken.gateway
    gateway.start()
    try:
        taken.name = gateway.create_datasource(SCHEMA, "busy")
        gateway.create_datasource("id Int64", "bad")
        gateway.create_datasource(SCHEMA, "file")
        make_pipe(gateway, ("node", "SELECT id, text FROM busy"), name="mv")
        made = gateway.post("/v0/pipes/mv/nodes/node/materialization", datasource="copied")
        assert made.status == 200, made.text
        taken.token = gateway.make_token("DATASOURCES:READ:" + gateway.datasource_id("busy"))
        gateway.post_events("bad", [{"id": "not a number"}, {"id": 1}], wait="true")
        with Load(gateway, taken.name) as load:
            until(lambda: len(load.answered) > 3000)
            body = b"".join(b"%d,text %d\n" % (each, each) for each in range(FILE_ROWS))
            job = gateway.post("/v0/datasources", body, name="file", mode="append", format="csv")
            assert job.status == 200, job.text
            taken.job = job.json.get("job_id") or job.json.get("id")
            before = set(load.answered)
            done = sluice_process("backup", "--data-dir", gateway.data_dir, taken.archive)
            assert done.returncode == 0, done.stderr
            after = len(load.answered)
            until(lambda: len(load.answered) > after + 1000)
        taken.said, taken.before, taken.answered, taken.sent = done, before, set(load.answered), set(load.sent)
        yield taken
    finally:
        gateway.end()


@pytest.fixture(scope="module")
def restored(taken):
    """A gateway on what was restored from the backup."""
    other = Gateway(taken.directory / "other")
    done = sluice("restore", "--data-dir", other.data_dir, taken.archive, secret=secret_of(taken.gateway))
    assert done.returncode == 0, done.stderr
    other.start()
    yield other
    other.end()


def test_every_row_answered_before_the_backup_began_is_there_and_none_twice(taken, restored):
    restored.await_count("busy", len(taken.before))
    until(lambda: restored.get("/ready", token="").json["pending_rows"] == 0)
    found = [row["id"] for row in restored.sql("SELECT toInt32(id) AS id FROM busy")]

    assert len(taken.before) > 3000
    assert not taken.before - set(found)
    assert len(set(found)) == len(found)
    assert set(found) <= taken.sent


def test_a_materialized_view_has_what_its_source_has(taken, restored):
    restored.await_count("busy", len(taken.before))

    assert until(lambda: restored.count("copied") == restored.count("busy"))


def test_an_import_that_was_under_way_goes_on_where_it_was(taken, restored):
    job = restored.await_job(taken.job)

    assert job["status"] == "done"
    assert restored.sql("SELECT count() AS n, uniqExact(id) AS ids FROM file") == [{"n": FILE_ROWS, "ids": FILE_ROWS}]


def test_tokens_pipes_and_the_quarantine_are_there(taken, restored):
    assert restored.tokens == taken.gateway.tokens
    assert restored.get("/v0/pipes/mv").json["name"] == "mv"
    assert restored.count("bad_quarantine") == 1
    assert restored.sql("SELECT count() > 0 AS ok FROM busy", token=taken.token) == [{"ok": 1}]


def test_a_restored_node_takes_rows_and_lands_each_once(restored):
    before = restored.count("bad")

    for number in range(20):
        restored.post_events("bad", [{"id": number}], wait="true")

    assert restored.count("bad") == before + 20


def test_the_node_that_was_backed_up_lost_nothing_and_keeps_nothing_of_the_backup(taken):
    gateway = taken.gateway

    assert gateway.await_count("busy", len(taken.answered)) == len(taken.answered)
    assert not list((gateway.data_dir / "engine/clickhouse/shadow").glob("*backup*"))
    assert not list((gateway.data_dir / "run").glob("backup-*"))


def test_a_backup_says_loudly_that_the_secret_is_not_in_it(taken):
    assert "THE SECRET IS NOT IN IT" in taken.said.stderr
    assert secret_of(taken.gateway).encode() not in taken.archive.read_bytes()
    assert oct(taken.archive.stat().st_mode)[-3:] == "600"


def taken_at(gateway):
    """Return what a gateway shows of its last backup, Unix seconds; waits until it shows anything."""
    name = "sluice_backup_taken_timestamp_seconds{"
    shown = until(lambda: [line for line in gateway.get("/metrics", token="").text.splitlines() if name in line])
    assert 'kind="node"' in shown[-1]
    return float(shown[-1].split()[-1])


def test_a_gateway_shows_when_its_last_backup_was_taken(taken, tmp_path):
    before = taken_at(taken.gateway)

    assert sluice("backup", "--data-dir", taken.gateway.data_dir, tmp_path).returncode == 0

    assert until(lambda: taken_at(taken.gateway) > before)


def test_the_secret_is_in_it_if_asked_for(taken, tmp_path):
    done = sluice("backup", "--with-secrets", "--data-dir", taken.gateway.data_dir, tmp_path)
    archive = next(tmp_path.glob("sluice-*.tar"))
    back = sluice("restore", "--data-dir", tmp_path / "new", archive)

    assert (done.returncode, back.returncode) == (0, 0), done.stderr + back.stderr
    assert "SECRET IS NOT" not in done.stderr
    assert (tmp_path / "new" / "secret").read_text().strip() == secret_of(taken.gateway)
    assert oct((tmp_path / "new" / "secret").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    "options, secret, sentence",
    [
        ([], "", "the secret that signs its tokens and seals its variables is not in this backup"),
        ([], "another secret, of thirty-two characters or more", "SLUICE_SECRET is not the secret of this backup"),
        (["--clickhouse-url", "http://user:password@127.0.0.1:8123/"], "", "holds the rows of an embedded engine"),
    ],
    ids=["no secret", "another secret", "a server"],
)
def test_what_could_not_work_is_refused_before_anything_is_written(taken, tmp_path, options, secret, sentence):
    done = sluice("restore", "--data-dir", tmp_path / "new", *options, taken.archive, secret=secret)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert {path.name for path in (tmp_path / "new").iterdir()} <= {"lock"}


def test_a_directory_that_is_in_use_or_not_empty_is_not_restored_into(taken, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")

    full = sluice("restore", "--new-secret", "--data-dir", tmp_path, taken.archive)
    busy = sluice("restore", "--new-secret", "--data-dir", taken.gateway.data_dir, taken.archive)

    assert (full.returncode, busy.returncode) == (1, 1)
    assert "is not empty (mine.txt)" in full.stderr
    assert "is in use" in busy.stderr
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def nothing(_data):
    return b""


def a_zip(_data):
    return b"PK\x03\x04 this is a zip" * 1000


def cut(data):
    return data[: len(data) * 2 // 3]


def without_end(data):
    with_end = data.rindex(b"manifest.json")
    return data[: with_end - with_end % 512]


def flipped(place, *, is_header=False):
    """Return what turns one bit of the file, or of its name, that lies at `place` of the archive: not one between files."""

    def flip(data):
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            entry = next(each for each in archive if each.size and each.offset_data + each.size > len(data) * place)
        at = entry.offset if is_header else entry.offset_data + entry.size // 2
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return flip


def of_a_later_format(data):
    return data.replace(b'"format":1', b'"format":9', 1)


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (nothing, "this backup is empty|no backup|not whole"),
        (a_zip, "none"),
        (cut, "not whole"),
        (without_end, "its end is missing|not whole"),
        (flipped(0.3), "damaged"),
        (flipped(0.6), "damaged"),
        (flipped(0.9), "damaged"),
        (flipped(0.5, is_header=True), "damaged|not whole"),
        (of_a_later_format, "has format 9, which this version does not know"),
    ],
    ids=[
        "empty",
        "foreign",
        "cut",
        "without its end",
        "flip 30 %",
        "flip 60 %",
        "flip 90 %",
        "flip a name",
        "later format",
    ],
)
def test_what_is_not_a_whole_backup_is_said_to_be_none_and_nothing_is_restored(taken, tmp_path, spoil, sentence):
    archive = tmp_path / "bad.tar"
    archive.write_bytes(spoil(taken.archive.read_bytes()))

    checked = sluice("restore", "--check", archive)
    done = sluice("restore", "--new-secret", "--data-dir", tmp_path / "new", archive)

    assert (checked.returncode, done.returncode) == (1, 1)
    for error in (checked.stderr, done.stderr):
        assert any(each in error for each in sentence.split("|")), error
        assert "Traceback" not in error
    assert {path.name for path in (tmp_path / "new").iterdir()} <= {"lock"}


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "engine/../../outside", "other/file", "lock"])
def test_an_archive_writes_nowhere_but_where_a_node_has_files(taken, tmp_path, name):
    archive = tmp_path / "bad.tar"
    with tarfile.open(taken.archive) as whole, tarfile.open(archive, "w") as bad:
        for entry in whole:
            if entry.name == "manifest.json":
                bad.addfile(tarfile.TarInfo(name))
            bad.addfile(entry, whole.extractfile(entry))

    done = sluice("restore", "--new-secret", "--data-dir", tmp_path / "new", archive)

    assert done.returncode == 1
    assert "is nothing that a node has" in done.stderr
    assert not (tmp_path / "outside").exists()


def test_a_whole_backup_is_said_to_be_whole(taken):
    done = sluice("restore", "--check", taken.archive)

    assert done.returncode == 0
    assert "the backup is whole: metadata, log and" in done.stderr
    assert done.stderr.rstrip().endswith(" MB")


def test_a_restore_that_was_killed_is_no_node_and_is_begun_anew(taken, tmp_path):
    data_dir = tmp_path / "new"
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "restore", "--new-secret", "--data-dir", str(data_dir), "-"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
    ) as process:
        process.stdin.write(taken.archive.read_bytes()[: taken.archive.stat().st_size // 2])
        process.stdin.flush()
        until((data_dir / "restoring").is_dir)
        process.kill()

    serve = sluice("serve", "--data-dir", data_dir, "--port", "0")
    again = sluice("restore", "--new-secret", "--data-dir", data_dir, taken.archive)

    assert serve.returncode == 1
    assert "was not finished: repeat `sluice restore`" in serve.stderr
    assert again.returncode == 0, again.stderr
    assert not (data_dir / "restoring").exists()
    assert (data_dir / "metadata.db").exists()


def test_a_backup_that_fails_leaves_no_file(taken, tmp_path):
    done = sluice_process(
        *("backup", "--data-dir", taken.gateway.data_dir, tmp_path / "x.tar"),
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )

    assert done.returncode == 1
    assert "no backup was taken" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_was_killed_leaves_what_the_next_one_removes(taken, tmp_path):
    data_dir = taken.gateway.data_dir
    shadow = data_dir / "engine/clickhouse/shadow"
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", "backup", "--data-dir", str(data_dir), "-"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(512)  # it writes, and then waits for us to read
        beside = sluice("backup", "--data-dir", data_dir, tmp_path / "beside.tar")
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = list(shadow.glob("sluice*")), list((data_dir / "run").glob("backup-*"))
    again = sluice("backup", "--data-dir", data_dir, tmp_path / "again.tar")

    assert beside.returncode == 1
    assert "another backup of this directory is being taken" in beside.stderr
    assert all(left)
    assert again.returncode == 0, again.stderr
    assert not list(shadow.glob("sluice*"))
    assert not list((data_dir / "run").glob("backup-*"))
    assert [path.name for path in tmp_path.iterdir()] == ["again.tar"]


def test_a_file_that_is_there_is_not_written_over(taken, tmp_path):
    (tmp_path / "x.tar").write_text("mine")

    done = sluice("backup", "--data-dir", taken.gateway.data_dir, tmp_path / "x.tar")

    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert (tmp_path / "x.tar").read_text() == "mine"


@pytest.mark.parametrize("directory", ["missing", "empty"])
def test_a_directory_without_a_node_is_said_to_be_none(tmp_path, directory):
    (tmp_path / "empty").mkdir()

    done = sluice("backup", "--data-dir", tmp_path / directory, tmp_path / "x.tar")

    assert done.returncode == 1
    assert "no such directory" in done.stderr or "holds no tables" in done.stderr
    assert not (tmp_path / "x.tar").exists()


def test_a_node_that_does_not_run_is_backed_up_with_the_rows_in_its_log(tmp_path):
    gateway = Gateway(tmp_path, "--batch-age-seconds-max", "5m", "--workers", "1")
    try:
        gateway.start()
        gateway.create_datasource(SCHEMA, "late")
        gateway.post_events("late", [{"id": each, "text": "x"} for each in range(100)])
        gateway.kill()
        until(lambda: sluice("backup", "--data-dir", gateway.data_dir, tmp_path / "x.tar").returncode == 0)
        other = Gateway(tmp_path / "other", "--workers", "1")
        done = sluice("restore", "--data-dir", other.data_dir, tmp_path / "x.tar", secret=secret_of(gateway))
        assert done.returncode == 0, done.stderr
        try:
            other.start()
            assert other.await_count("late", 100) == 100
            until(lambda: other.get("/ready", token="").json["pending_rows"] == 0)
            assert other.count("late") == 100
        finally:
            other.end()
        gateway.start()
        assert taken_at(gateway) > 0  # it knows of the backup that was taken while it was down
    finally:
        gateway.end()
