"""The metadata in backups: of SQLite and PostgreSQL, into either, of every layout there was."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, text

from gateway.catalog import CatalogStore, tables
from gateway.catalog.backups import last_backups
from gateway.catalog.layout import HEAD
from gateway.core.clock import SystemClock
from gateway.jobs import JobStore
from gateway.jobs.models import NewJob
from tests.support import commands

LAYOUTS = Path(__file__).parents[1] / "unit" / "catalog" / "layouts"
ROOT = Path(__file__).parents[2]
EARLIER = [path.stem for path in sorted(LAYOUTS.glob("*.sql"))]
SECRET = "s" * 40
SERVER = ("--clickhouse-url", "http://default:x@127.0.0.1:8123/")

sluice = partial(commands.sluice, secret=SECRET)


def file_url(path):
    return f"sqlite+aiosqlite:///{path}"


def a_file_of(layout, path):
    """Make a database as gateways of an earlier layout left it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((LAYOUTS / f"{layout}.sql").read_text())
    return path


def everything(url):
    """Return every row there is, at the newest layout, but of what `sluice backup` leaves word of."""

    async def read():
        store = await CatalogStore.open(url, SystemClock())
        try:
            assert (await store.database.look_at_layout()).revision == HEAD
            async with store.database.reading() as transaction:
                return {
                    table.name: sorted([tuple(row) for row in await transaction.all(select(table))], key=repr)
                    for table in tables.metadata.sorted_tables
                    if table is not tables.backups
                }
        finally:
            await store.aclose()

    return asyncio.run(read())


def backed_up(path, *options):
    code, said = sluice("backup", *SERVER, *options, path)
    assert code == 0, said
    return path


def restored(archive, *options):
    code, said = sluice("restore", *SERVER, *options, archive)
    assert code == 0, said


def test_from_sqlite_to_postgresql_and_back_every_row_is_the_same(tmp_path, postgres_url):
    a_file_of("3", tmp_path / "old" / "metadata.db")
    before = everything(file_url(tmp_path / "old" / "metadata.db"))

    first = backed_up(tmp_path / "1.tar", "--data-dir", tmp_path / "old")
    restored(first, "--data-dir", tmp_path / "a", "--database-url", postgres_url)
    second = backed_up(tmp_path / "2.tar", "--data-dir", tmp_path / "a", "--database-url", postgres_url)
    restored(second, "--data-dir", tmp_path / "b")

    assert len(before["datasources"]) == 2
    assert len(before["tokens"]) > 2
    assert everything(postgres_url) == before
    assert everything(file_url(tmp_path / "b" / "metadata.db")) == before
    assert not (tmp_path / "a" / "metadata.db").exists()


@pytest.mark.parametrize("layout", EARLIER)
def test_a_backup_of_an_earlier_layout_is_brought_up_to_date_as_any_database_is(tmp_path, postgres_url, layout):
    path = a_file_of(layout, tmp_path / "old" / "metadata.db")
    archive = backed_up(tmp_path / "x.tar", "--data-dir", tmp_path / "old")
    with closing(sqlite3.connect(path)) as connection:
        assert not connection.execute("SELECT name FROM sqlite_master WHERE name = 'catalog_revision'").fetchall()

    restored(archive, "--data-dir", tmp_path / "a")
    restored(archive, "--data-dir", tmp_path / "b", "--database-url", postgres_url)

    wanted = everything(file_url(path))
    assert "events" in {row[2] for row in wanted["datasources"]}
    assert everything(file_url(tmp_path / "a" / "metadata.db")) == wanted
    assert everything(postgres_url) == wanted


def test_a_job_that_was_under_way_ends_where_its_rows_are_not_restored(tmp_path):
    async def make():
        store = await CatalogStore.open(file_url(tmp_path / "metadata.db"), SystemClock())
        workspace = (await store.list_workspaces())[0]
        jobs = JobStore(store.database, SystemClock())
        made = await jobs.create(
            NewJob(workspace_id=workspace.id, kind="import", spec={}, token_id="t", request_id="r")
        )
        await store.aclose()
        return workspace.id, made.id

    async def look(workspace_id, job_id):
        store = await CatalogStore.open(file_url(tmp_path / "new" / "metadata.db"), SystemClock())
        jobs = JobStore(store.database, SystemClock())
        found, left = await jobs.get(workspace_id, job_id), await jobs.claim("who", "", {"import"}, 10)
        await store.aclose()
        return found, left

    made = asyncio.run(make())
    restored(backed_up(tmp_path / "x.tar", "--data-dir", tmp_path), "--data-dir", tmp_path / "new")
    found, left = asyncio.run(look(*made))

    assert (found.status, left) == ("error", None)
    assert "was under way when this backup was taken" in found.error


def test_a_database_that_is_not_empty_is_not_restored_into(tmp_path, postgres_url):
    a_file_of("3", tmp_path / "old" / "metadata.db")
    archive = backed_up(tmp_path / "x.tar", "--data-dir", tmp_path / "old")
    before = everything(postgres_url)

    server = sluice("restore", *SERVER, "--data-dir", tmp_path / "a", "--database-url", postgres_url, archive)
    file = sluice(
        *("restore", *SERVER, "--data-dir", tmp_path / "b", "--database-url"),
        *(file_url(tmp_path / "old" / "metadata.db"), archive),
    )

    for code, said in (server, file):
        assert code == 1
        assert "restore into an empty one (--database-url)" in said
    assert everything(postgres_url) == before
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"lock"}


def test_postgresql_of_another_layout_is_not_copied_by_halves(tmp_path, postgres_url):
    async def spoil():
        store = await CatalogStore.open(postgres_url, SystemClock())
        async with store.database.writing_uncounted() as transaction:
            await transaction.execute(text("UPDATE catalog_revision SET version_num = '0001'"))
        await store.aclose()

    asyncio.run(spoil())

    code, said = sluice("backup", *SERVER, "--data-dir", tmp_path, "--database-url", postgres_url, tmp_path / "x.tar")

    assert code == 1
    assert "at revision 0001" in said
    assert list(tmp_path.glob("*.tar")) == []


@pytest.mark.parametrize(
    "options, sentence",
    [
        ((), "there is no such file: say where the metadata is"),
        (("--database-url", "postgresql+asyncpg://sluice:hidden@127.0.0.1:1/none"), "does not answer"),
    ],
    ids=["no file", "no server"],
)
def test_metadata_that_cannot_be_read_is_no_backup(tmp_path, options, sentence):
    code, said = sluice("backup", *SERVER, "--data-dir", tmp_path, *options, tmp_path / "x.tar")

    assert code == 1
    assert sentence in said
    assert "hidden" not in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_while_it_is_copied_is_in_it_wholly_or_not_at_all(tmp_path, postgres_url):
    """A data source and its tokens are made in one change; backups are taken of both kinds of database meanwhile."""

    async def work(url, take):
        store = await CatalogStore.open(url, SystemClock())
        workspace = (await store.list_workspaces())[0]
        stop = asyncio.Event()

        made, wrote = 0, asyncio.Event()

        async def write():
            nonlocal made
            while not stop.is_set():
                async with store.change() as change:
                    for number in range(5):
                        await change.create_token(workspace.id, f"token {made} {number}", ())
                made += 1
                wrote.set()

        writing = asyncio.create_task(write())
        for number in range(4):
            for _ in range(3):
                wrote.clear()
                await wrote.wait()
            await asyncio.to_thread(take, number)
        stop.set()
        await writing
        await store.aclose()

    from gateway.backup.metadata import save

    for kind, url in (("file", file_url(tmp_path / "metadata.db")), ("server", postgres_url)):
        asyncio.run(
            work(url, lambda number, kind=kind, url=url: save(url, tmp_path / f"{kind}{number}", SystemClock()))
        )
        counts = []
        for number in range(4):
            with closing(sqlite3.connect(tmp_path / f"{kind}{number}")) as connection:
                query = "SELECT (SELECT count(*) FROM tokens WHERE name LIKE 'token %'), (SELECT version FROM catalog_version)"
                counts.append(connection.execute(query).fetchone())

        assert all(tokens % 5 == 0 and tokens == 5 * (version - 1) for tokens, version in counts), counts
        assert counts[-1][0] > 0


def test_a_database_that_is_only_opened_is_not_changed(tmp_path):
    path = a_file_of("1", tmp_path / "metadata.db")
    before = path.read_bytes()

    backed_up(tmp_path / "x.tar", "--data-dir", tmp_path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["file", "server"])
def test_the_record_knows_the_last_backup_that_was_whole(tmp_path, request, where):
    url = file_url(tmp_path / "metadata.db") if where == "file" else request.getfixturevalue("postgres_url")
    options = ("--data-dir", tmp_path, "--database-url", url)

    async def last():
        store = await CatalogStore.open(url, SystemClock())
        found = dict(await last_backups(store.database)), await store.version()
        await store.aclose()
        return found

    none, version = asyncio.run(last())
    began = time.time()
    backed_up(tmp_path / "1.tar", *options)
    first, _ = asyncio.run(last())
    assert sluice("backup", *SERVER, *options, tmp_path / "1.tar").returncode == 1  # it is there already
    failed, _ = asyncio.run(last())
    backed_up(tmp_path / "2.tar", *options)
    second, after = asyncio.run(last())

    assert none == {}
    assert began <= first["metadata"] <= time.time()
    assert failed == first
    assert second["metadata"] > first["metadata"]
    assert after == version  # no gateway has to look at the catalog again


def test_a_backup_of_which_the_database_cannot_be_told_is_whole_and_says_so(tmp_path, postgres):
    postgres_url = postgres.new_database("to_be_read_only")
    everything(postgres_url)  # makes the tables
    postgres.execute("ALTER DATABASE to_be_read_only SET default_transaction_read_only = on")
    code, said = sluice("backup", *SERVER, "--data-dir", tmp_path, "--database-url", postgres_url, tmp_path / "1.tar")

    assert code == 0
    assert "the backup is whole, but the metadata database could not be told of it" in said
    assert sluice("restore", "--check", tmp_path / "1.tar").returncode == 0


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from gateway.cli import main

at = sys.argv.pop(1)

@event.listens_for(Engine, "after_cursor_execute")
def look_at_statement(connection, cursor, statement, *_):
    if at in statement:
        os.kill(os.getpid(), signal.SIGKILL)

def look_at_file(name, values):
    call, _, path = at.partition(":")
    if name == call and str(values[0]).endswith(path):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(look_at_file)
sys.exit(main(sys.argv[1:]))
"""


def killed(at, *arguments):
    """Run a command that is killed after the statement, or before the call on a file, that `at` names."""
    command = [sys.executable, "-c", KILLED, at, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=commands.environment(SECRET), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    "where, at",
    [
        ("server", "os.rename:restoring/secret"),
        ("server", "INSERT INTO tokens"),
        ("server", "os.mkdir:new/run"),
        ("file", "os.rename:.metadata.db.part"),
        ("file", "os.mkdir:new/run"),
    ],
)
def test_a_restore_that_was_cut_off_is_repeated_and_nothing_is_emptied_by_hand(tmp_path, request, where, at):
    """Before the record is in its place, in the middle of that, and when nothing but tidying up is left."""
    url = request.getfixturevalue("postgres_url") if where == "server" else file_url(tmp_path / "db" / "metadata.db")
    a_file_of("3", tmp_path / "old" / "metadata.db")
    archive = backed_up(tmp_path / "x.tar", "--data-dir", tmp_path / "old")
    restore = ("restore", *SERVER, "--data-dir", tmp_path / "new", "--database-url", url)

    killed(at, *restore, archive)
    serve = sluice("serve", *SERVER, "--data-dir", tmp_path / "new", "--database-url", url, "--port", "0")
    again = sluice(*restore, archive)

    assert (serve.returncode, again.returncode) == (1, 0), again.stderr
    assert everything(url) == everything(file_url(tmp_path / "old" / "metadata.db"))
    assert (tmp_path / "new" / "secret").read_text().strip() == SECRET
    assert not (tmp_path / "new" / "restoring").exists()


def test_only_the_backup_that_was_cut_off_is_finished_and_only_if_nobody_used_it(tmp_path, postgres_url):
    a_file_of("3", tmp_path / "old" / "metadata.db")
    first = backed_up(tmp_path / "1.tar", "--data-dir", tmp_path / "old")
    second = backed_up(tmp_path / "2.tar", "--data-dir", tmp_path / "old")
    restore = ("restore", *SERVER, "--data-dir", tmp_path / "new", "--database-url", postgres_url)
    killed("os.mkdir:new/run", *restore, first)
    before = everything(postgres_url)

    other = sluice(*restore, second)

    assert other.returncode == 1
    assert "repeat it with that backup, which finishes it" in other.stderr

    async def use():
        store = await CatalogStore.open(postgres_url, SystemClock())
        async with store.change() as change:
            await change.create_workspace("mine")
        await store.aclose()

    assert everything(postgres_url) == before
    asyncio.run(use())
    used = sluice(*restore, first)

    assert used.returncode == 1
    assert "is not empty" in used.stderr
    assert len(everything(postgres_url)["workspaces"]) == len(before["workspaces"]) + 1
