"""Layouts: a database of every earlier one comes up with its data, goes back, and is never left half-way."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text, update

from gateway.catalog import CatalogStore, layout, tables
from gateway.catalog.database import Database
from gateway.catalog.layout import HEAD, IncompatibleCatalog
from gateway.catalog.migrations import revisions
from gateway.cli import main
from gateway.core.clock import SystemClock
from gateway.core.errors import Conflict, InvalidRequest
from gateway.jobs import JobStore
from gateway.supervisor import claim_directory

ROOT = Path(__file__).parents[3]
LAYOUTS = Path(__file__).parent / "layouts"  # what gateways of then made: dumps of their own databases
EARLIER = [path.stem for path in sorted(LAYOUTS.glob("*.sql"))]
SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """Commands read the environment, and refuse what they do not know there: what is for the suite, too."""
    for name in [each for each in os.environ if each.startswith("SLUICE_")]:
        monkeypatch.delenv(name)


async def write(url, *statements):
    database = Database(url, SystemClock())
    try:
        async with database.writing_uncounted() as transaction:
            for statement in statements:
                await transaction.execute(text(statement) if isinstance(statement, str) else statement)
    finally:
        await database.aclose()


async def look(url, work):
    """Return what `work` finds on a plain connection."""
    database = Database(url, SystemClock())
    try:
        async with database.reading() as transaction:
            return await transaction.run(work)
    finally:
        await database.aclose()


async def make_layout(url, name):
    """Make a database as gateways of an earlier layout left it."""
    script = (LAYOUTS / f"{name}.sql").read_text()
    if url.startswith("postgresql"):
        script = script.replace(" DOUBLE", " DOUBLE PRECISION")
    await write(url, *(each.replace(":", r"\:") for each in script.split(";\n") if each.strip()))


def contents(connection):
    """Return every row of every table of the first layout, without the columns that came later."""
    columns = {
        "workspaces": "id, name, database, created_at, changed_version",
        "datasources": "id, name, schema_text, engine_options, indexes, tags, changed_version",
        "tokens": "id, name, scopes, secret_version, builtin, changed_version",
        "catalog_version": "version",
    }
    return {
        table: sorted(map(tuple, connection.execute(text(f"SELECT {listed} FROM {table}"))), key=repr)
        for table, listed in columns.items()
    }


def drift(connection):
    """Return in what a database differs from `tables`."""

    def differs(_context, _inspected, _column, found, _default, wanted):  # Alembic's own stumbles over '' in SQLite
        plain = [None if each is None else each.partition("::")[0].strip("()'") for each in (found, wanted)]
        return plain[0] != plain[1]

    options = {"version_table": layout.REVISION_TABLE, "compare_type": True, "compare_server_default": differs}
    return compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)


async def made_by(store):
    """Return what a person would look for after an upgrade: (data sources, pipes, variables, jobs)."""
    snapshot = await store.load_snapshot()
    workspace = next(each for each in snapshot.workspaces.values() if each.name == "acme")
    jobs = await JobStore(store.database, SystemClock()).list(workspace.id)
    return (
        [each.name for each in snapshot.datasources_of(workspace.id)],
        [each.name for each in snapshot.pipes_of(workspace.id)],
        [each.name for each in snapshot.variables_of(workspace.id)],
        [(each.kind, each.status) for each in jobs],
    )


JOBS = [("import", "done")]
KEPT = {
    "1": (["events"], [], [], []),
    "2": (["events"], [], [], JOBS),
    "3": (["events", "totals"], ["report"], ["region"], JOBS),
}


@pytest.mark.parametrize("name", EARLIER)
async def test_a_database_of_an_earlier_layout_comes_up_with_its_data_when_all_start_at_once(url, name):
    await make_layout(url, name)
    before = await look(url, contents)

    stores = await asyncio.gather(*(CatalogStore.open(url, SystemClock()) for _ in range(4)))

    for store in stores:
        assert await made_by(store) == KEPT[name]
        await store.aclose()
    assert await look(url, contents) == before
    assert await look(url, drift) == []
    assert (await look(url, layout.look)).revision == HEAD


async def test_what_the_revisions_make_is_what_the_tables_say(url):
    await (await CatalogStore.open(url, SystemClock())).aclose()
    assert await look(url, drift) == []
    assert list(revisions())[-1] == HEAD

    await write(url, "ALTER TABLE jobs DROP COLUMN spec", "DROP INDEX ix_jobs_listed")

    await write(url, "ALTER TABLE workspaces DROP COLUMN limits")
    await write(url, "ALTER TABLE workspaces ADD COLUMN limits TEXT DEFAULT '[]' NOT NULL")
    assert len(await look(url, drift)) == 3  # or this test could not fail


@pytest.mark.parametrize("revision", list(revisions())[:-1])
async def test_down_and_up_again_keeps_what_the_earlier_layout_could_hold(url, revision):
    await make_layout(url, "3")
    database = Database(url, SystemClock())
    await database.prepare()
    before = await look(url, contents)

    await database.go_back(revision)

    assert (await look(url, layout.look)).revision == revision
    assert await look(url, contents) == before
    await database.aclose()
    store = await CatalogStore.open(url, SystemClock())
    assert await made_by(store) == (KEPT["3"][0], *KEPT[revision.lstrip("0")][1:])
    assert await look(url, drift) == []
    await store.aclose()


async def test_gateways_of_then_find_their_own_layout_after_the_way_down(url):
    """What they asked at their start: the number of the layout, and the tables they had."""
    await make_layout(url, "3")
    database = Database(url, SystemClock())
    await database.prepare()
    for revision, theirs in (("0002", "2"), ("0001", "1")):
        await database.go_back(revision)
        asked = await look(url, lambda connection: connection.execute(select(tables.catalog_schema)).scalar_one())
        found = await look(url, lambda connection: set(inspect(connection).get_table_names()))
        assert str(asked) == theirs
        assert ("jobs" in found, "pipes" in found) == (theirs == "2", False)
    await database.aclose()


@pytest.mark.parametrize("wrong", ["0004", "0005", "base", "head", "-1", ""])
async def test_there_is_no_way_down_to_what_is_not_earlier(url, wrong):
    database = Database(url, SystemClock())
    await database.prepare()

    with pytest.raises(InvalidRequest, match="0001, 0002"):
        await database.go_back(wrong)

    assert (await database.look_at_layout()).revision == HEAD
    await database.aclose()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # a file does not tell who uses it; see below
async def test_nobody_goes_back_under_a_gateway_that_runs(url, store):
    database = Database(url, SystemClock())

    with pytest.raises(Conflict, match="stop every node"):
        await database.go_back("0001")

    await database.aclose()


KILLED = """
import asyncio, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from gateway.catalog.database import Database
from gateway.core.clock import SystemClock

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *_):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

async def upgrade():
    await Database(sys.argv[1], SystemClock()).prepare()

asyncio.run(upgrade())
"""


@pytest.mark.parametrize("at", ["ADD COLUMN hold", "UPDATE catalog_revision SET version_num='0003'"])
async def test_an_upgrade_that_is_killed_has_not_happened(url, at):
    await make_layout(url, "1")
    before = await look(url, contents), await look(url, lambda connection: inspect(connection).get_table_names())

    killed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, url, at], cwd=ROOT, check=False)

    assert killed.returncode == -signal.SIGKILL
    after = await look(url, contents), await look(url, lambda connection: inspect(connection).get_table_names())
    assert after == before
    store = await CatalogStore.open(url, SystemClock())
    assert await made_by(store) == KEPT["1"]
    await store.aclose()


async def test_of_two_processes_that_upgrade_at_once_both_succeed(url):
    await make_layout(url, "1")
    command = [sys.executable, "-m", "gateway", "metadata", "upgrade", "--database-url", url, "--secret", SECRET]
    both = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [await each.wait() for each in both] == [0, 0]

    assert await look(url, drift) == []


async def test_a_later_layout_is_used_if_it_says_so_and_refused_with_a_sentence_if_not(url, store):
    await write(url, "UPDATE catalog_revision SET version_num = '0009'")
    await (await CatalogStore.open(url, SystemClock())).aclose()

    await write(url, update(tables.catalog_schema).values(version=9))
    with pytest.raises(IncompatibleCatalog, match=f"at revision 0009, and this version of Sluice knows up to {HEAD}"):
        await CatalogStore.open(url, SystemClock())


async def test_tables_of_somebody_else_are_left_alone(url):
    await write(url, "CREATE TABLE tokens (theirs TEXT)")

    with pytest.raises(IncompatibleCatalog, match=r"somebody else \(tokens\)"):
        await CatalogStore.open(url, SystemClock())

    assert await look(url, lambda connection: inspect(connection).get_table_names()) == ["tokens"]


async def test_a_start_with_a_database_that_is_up_to_date_does_not_load_alembic(url, store):
    script = (
        "import asyncio, sys\nfrom gateway.catalog import CatalogStore\nfrom gateway.core.clock import SystemClock\n"
        "asyncio.run(CatalogStore.open(sys.argv[1], SystemClock()))\nprint('alembic' in sys.modules)"
    )
    said = await asyncio.to_thread(
        subprocess.check_output, [sys.executable, "-W", "ignore", "-c", script, url], cwd=ROOT, text=True
    )
    assert said.strip() == "False"


class TestCommand:
    @pytest.fixture
    def sluice(self, url, tmp_path, capsys):
        """Return what runs `sluice metadata …` and gives its exit code and all it said."""

        def run(*words):
            code = main(["metadata", *words, "--database-url", url, "--data-dir", str(tmp_path), "--secret", SECRET])
            said = capsys.readouterr()
            return code, said.out + said.err

        return run

    def test_an_empty_place_gets_its_tables(self, sluice, url):
        code, said = sluice("upgrade")

        assert code == 0
        assert f"at revision {HEAD}" in said
        assert asyncio.run(look(url, drift)) == []

    def test_status_says_what_an_older_database_lacks_and_changes_nothing(self, sluice, url):
        asyncio.run(make_layout(url, "2"))

        code, said = sluice("status")

        assert code == 1
        assert "has   0002  Jobs" in said
        assert "lacks 0003  Pipes, variables" in said
        assert "sluice metadata upgrade" in said
        assert sluice("status") == (code, said)
        assert sluice("upgrade")[0] == 0
        assert sluice("status")[0] == 0

    def test_down_takes_the_revision_twice(self, sluice):
        sluice("upgrade")

        code, said = sluice("downgrade", "0002", "0001")
        assert (code, "nothing was changed" in said) == (1, True)
        assert sluice("status")[0] == 0

        code, said = sluice("downgrade", "0002", "0002")
        assert (code, "lacks 0003" in said) == (0, True)

    @pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # a server tells who is connected; see above
    def test_down_is_refused_while_a_gateway_has_the_data_directory(self, sluice, url, tmp_path):
        sluice("upgrade")
        held = asyncio.run(claim_directory(tmp_path, SystemClock(), 0))

        code, said = sluice("downgrade", "0002", "0002")

        assert (code, "in use by process" in said) == (1, True)
        os.close(held)

    def test_a_file_that_is_not_there_is_not_made_by_looking(self, tmp_path, capsys):
        assert main(["metadata", "status", "--data-dir", str(tmp_path)]) == 1

        assert "there is no such file" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_no_password_is_shown(self, capsys):
        url = "postgresql://sluice:hunter2hunter2@127.0.0.1:9/x"
        assert main(["metadata", "status", "--database-url", url, "--secret", SECRET]) == 1

        said = capsys.readouterr()
        assert "does not answer" in said.err
        assert "hunter2" not in said.out + said.err

    def test_a_gateway_that_is_too_old_says_so_and_does_not_start(self, sluice, url, tmp_path):
        sluice("upgrade")
        asyncio.run(
            write(url, "UPDATE catalog_revision SET version_num = '0009'", "UPDATE catalog_schema SET version = 9")
        )
        command = [sys.executable, "-m", "gateway", "serve", "--workers", "1", "--port", "0", "--secret", SECRET]
        command += ["--database-url", url, "--data-dir", str(tmp_path), "--clickhouse-url", "http://127.0.0.1:9/"]

        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

        assert ended.returncode == 2
        assert f"at revision 0009, and this version of Sluice knows up to {HEAD}" in ended.stderr
        assert "Traceback" not in ended.stderr
