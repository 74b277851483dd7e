"""Settings: read once, from four places, and refused with one message that lists everything."""

import stat
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import (
    DEFAULTS,
    SPECS,
    ConfigurationError,
    Settings,
    WorkerIdentity,
    clickhouse_address,
    file_variable,
    flag,
    format_value,
    load,
    log_directory,
    orphan_directories,
    variable,
    with_secret,
)
from gateway.supervisor import Orders


def settings(flags=None, environment=None):
    return load(flags or {}, environment or {}).settings


def problems(flags=None, environment=None):
    with pytest.raises(ConfigurationError) as caught:
        load(flags or {}, environment or {})
    return caught.value.problems


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a TOML file and returns its path."""

    def write(text):
        path = tmp_path / "sluice.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_defaults_are_those_of_the_documents():
    found = settings()

    assert (found.host, found.port, found.role) == ("127.0.0.1", 7181, "all")
    assert (found.log_sync, found.log_bytes_max, found.log_segment_bytes_max) == ("fsync", 10 * 2**30, 64 * 2**20)
    assert (found.batch_rows_max, found.batch_bytes_max, found.batch_age_seconds_max) == (100_000, 32 * 2**20, 1.0)
    assert (found.buffer_memory_bytes_max, found.flush_concurrency) == (128 * 2**20, 4)
    assert (found.body_bytes_max, found.hold_seconds_max, found.wait_seconds_max) == (10_000_000, 2.0, 30.0)
    assert (found.query_seconds_max, found.query_result_bytes_max) == (10.0, 100_000_000)
    assert (found.dedup_window, found.auto_create, found.cors) == (10_000, False, True)


def test_a_default_that_depends_on_the_machine_is_filled_in():
    found = settings({"data_dir": "here"})

    assert found.workers >= 1
    assert found.data_dir == Path.cwd() / "here"
    assert found.database_url == f"sqlite+aiosqlite:///{Path.cwd()}/here/metadata.db"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(file):
    flags = {"port": "1", "config": file("port = 3\nbatch_rows_max = 3\nflush_concurrency = 3")}
    loaded = load(flags, {"SLUICE_PORT": "2", "SLUICE_BATCH_ROWS_MAX": "2"})

    assert (loaded.settings.port, loaded.settings.batch_rows_max, loaded.settings.flush_concurrency) == (1, 2, 3)
    assert [loaded.sources[name] for name in ("port", "batch_rows_max", "flush_concurrency", "host")] == [
        "flag",
        "environment",
        "file",
        "default",
    ]


def test_the_file_may_be_named_in_the_environment(file):
    assert settings(environment={"SLUICE_CONFIG": file('log_bytes_max = "1GiB"')}).log_bytes_max == 2**30


def test_an_empty_variable_counts_as_not_given():
    found = settings(environment={"SLUICE_CORS": "", "SLUICE_AUTO_CREATE": "", "SLUICE_PORT": ""})

    assert (found.cors, found.auto_create, found.port) == (True, False, 7181)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://a,b:5433/d?sslmode=require", "postgresql+asyncpg://a,b:5433/d?sslmode=require"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
        ("sqlite:////x/y.db", "sqlite+aiosqlite:////x/y.db"),
    ],
)
def test_a_database_is_named_as_people_name_it(written, meant):
    assert settings({"database_url": written, "secret": "s" * 32}).database_url == meant


@pytest.mark.parametrize("text, value", [("false", False), ("0", False), ("off", False), ("true", True), ("1", True)])
def test_a_boolean_is_what_its_word_says(text, value):
    assert settings(environment={"SLUICE_CORS": text}).cors is value


def test_everything_that_is_wrong_is_said_at_once(file):
    found = problems(
        {"port": "70000", "cors": "maybe", "config": file("batch_rows_max = true\nprot = 1")},
        {"SLUICE_LOG_SYNC": "always", "SLUICE_PROT": "1", "SLUICE_BATCH_AGE_SECONDS_MAX": "1d", "HOME": "/"},
    )

    text = "\n".join(found)
    assert len(found) == 7
    assert '--port: "70000" is above 65535' in text
    assert '--cors: "maybe" is neither on nor off' in text
    assert "batch_rows_max: " in text
    assert "prot: is not a setting; did you mean port?" in text
    assert 'SLUICE_LOG_SYNC: "always" is none of fsync, os, memory' in text
    assert "SLUICE_PROT: is not a setting; did you mean SLUICE_PORT?" in text
    assert 'SLUICE_BATCH_AGE_SECONDS_MAX: "1d" is not a duration' in text


def test_every_secret_may_be_in_a_file_of_its_own(tmp_path):
    secrets = [name for name, spec in SPECS.items() if spec.secret]
    texts = {"clickhouse_url": "http://h:8123/", "database_url": "sqlite+aiosqlite:///x.db"}
    environment = {"SLUICE_CLICKHOUSE_READ_USER": "r", "SLUICE_CLICKHOUSE_USER": "u"}
    for name in secrets:
        path = tmp_path / name
        path.write_text(texts.get(name, f"{name}-in-a-file-of-its-own-0123456789") + "\n")
        environment[file_variable(name)] = str(path)

    loaded = load({}, environment)

    assert {name: getattr(loaded.settings, name) for name in secrets} == {
        name: texts.get(name, f"{name}-in-a-file-of-its-own-0123456789") for name in secrets
    }
    assert {loaded.sources[name] for name in secrets} == {"environment"}


def test_a_secrets_file_gives_way_to_the_command_line_and_goes_with_nothing_else(tmp_path):
    path = tmp_path / "token"
    path.write_text("from-the-file")
    given = {"SLUICE_ADMIN_TOKEN_FILE": str(path)}

    assert settings({"admin_token": "from-the-line"}, given).admin_token == "from-the-line"
    assert settings({}, given | {"SLUICE_ADMIN_TOKEN": ""}).admin_token == "from-the-file"
    assert settings({}, {"SLUICE_ADMIN_TOKEN_FILE": ""}).admin_token == ""
    (found,) = problems({}, given | {"SLUICE_ADMIN_TOKEN": "from-the-environment"})
    assert found == "SLUICE_ADMIN_TOKEN_FILE: SLUICE_ADMIN_TOKEN is set as well; set one of them"


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 70_000, "larger than 64 KiB"),
        (b"two\nlines\n", "line break"),
        (b" blank", "white space"),
    ],
)
def test_a_secrets_file_that_is_none_is_said_without_its_content(tmp_path, content, reason):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)

    (found,) = problems({}, {"SLUICE_ADMIN_TOKEN_FILE": str(path)})

    assert found.startswith("SLUICE_ADMIN_TOKEN_FILE: ")
    assert reason in found
    assert "lines" not in found


def test_only_secrets_are_read_from_files_of_their_own():
    (found,) = problems({}, {"SLUICE_PORT_FILE": "/dev/null"})

    assert found == "SLUICE_PORT_FILE: is not a setting; did you mean SLUICE_PORT?"


@pytest.mark.parametrize("value", ["3.5", "true", "[1]", "1979-05-27", '"x"', "nan", "-1", "{a = 1}"])
def test_a_wrong_type_in_the_file_is_a_sentence_not_a_traceback(file, value):
    (found,) = problems({"config": file(f"batch_rows_max = {value}")})

    assert "batch_rows_max: " in found


@pytest.mark.parametrize("content", ["port = ", b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_said(tmp_path, content):
    path = tmp_path / "sluice.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    (found,) = problems({"config": str(path)})
    assert "cannot be read as TOML" in found


def test_variables_of_a_kubernetes_service_are_explained():
    found = problems(environment={"SLUICE_PORT": "tcp://10.0.0.1:7181", "SLUICE_SERVICE_HOST": "10.0.0.1"})

    assert len(found) == 2
    assert all("enableServiceLinks: false" in problem for problem in found)


@pytest.mark.parametrize(
    "flags, word",
    [
        ({"role": "api"}, "clickhouse_url"),
        ({"role": "api", "clickhouse_url": "http://h/", "workers": "2"}, "one worker"),
        ({"batch_bytes_max": "512MiB"}, "buffer_memory_bytes_max"),
        ({"body_bytes_max": "1GB"}, "buffer_memory_bytes_max"),
        ({"log_bytes_max": "100MiB"}, "two segments"),
        ({"secret": "short"}, "32 characters"),
        ({"database_url": "mysql://h/d"}, "must begin with"),
        ({"database_url": "postgresql+asyncpg://h/d"}, "secret must be set"),
        *(
            ({"database_url": f"postgresql://u:{password}@h/d", "secret": "s" * 32}, "write / ? # [ and ] as")
            for password in ("pa/ss", "1/2", "pa?ss", "pa#ss", "1#2", "[pa", "pa]")
        ),
        ({"database_url": "postgresql:d", "secret": "s" * 32}, "must look like postgresql://"),
        ({"outbound_allow": "files.internal, http://h/"}, "outbound_allow has an entry"),
        ({"clickhouse_user": "u"}, "without clickhouse_url"),
        ({"clickhouse_cluster": "main"}, "needs clickhouse_url"),
        ({"clickhouse_insert_quorum": "2", "clickhouse_url": "http://h:8123"}, "without clickhouse_cluster"),
        ({"clickhouse_cluster": "a'b", "clickhouse_url": "http://h:8123"}, "must be a name of letters"),
        (
            {
                "clickhouse_cluster": "c",
                "clickhouse_url": "http://h:8123",
                "clickhouse_cluster_path": "/t/{shard}/{table}",
            },
            "must begin with / and have {uuid} and {shard}",
        ),
        ({"clickhouse_url": "h:8123"}, "must look like"),
        ({"clickhouse_url": "http://h:99999/"}, "must look like"),
        ({"clickhouse_url": "http://u:p@h/", "clickhouse_password": "q"}, "again"),
    ],
)
def test_what_cannot_work_together_is_refused(flags, word):
    (found,) = problems(flags)

    assert word in found


@pytest.mark.parametrize(
    "rest",
    [
        "u:p@ss@h/d",
        "u:p%2Fa%40ss:word@h:5432/d?sslmode=verify-full&passfile=/run/x",
        "h/d?user=u@server&password=p",
        "u@h1:5432,h2:5433/d?target_session_attrs=read-write",
        "u@[::1]:5432,[fe80::1]/d",
        "u@%2Fvar%2Frun/d",
        "/d?host=/var/run/postgresql",
        "h",
        "",
    ],
)
def test_any_url_that_postgresql_itself_takes_is_taken(rest):
    assert settings({"database_url": f"postgresql://{rest}", "secret": "s" * 32}).database_url.endswith(rest)


def test_a_problem_with_a_secret_does_not_show_it():
    found = problems({"clickhouse_url": "ftp://u:hunter2@h", "secret": "hunter2 "}, {"SLUICE_SECRETT": "hunter2"})

    assert "hunter2" not in "".join(found)
    assert len(found) == 3


def test_settings_do_not_show_their_secrets():
    shown = repr(
        settings({"secret": "hunter2" * 5, "admin_token": "hunter2", "clickhouse_url": "http://u:hunter2@h:1/"})
    )

    assert "hunter2" not in shown


def test_user_and_password_are_in_the_address_however_they_were_given():
    apart = {"clickhouse_url": "https://h:8443/x", "clickhouse_user": "u", "clickhouse_password": "p@s/s"}

    assert clickhouse_address(settings(apart)) == "https://u:p%40s%2Fs@h:8443/x"
    assert clickhouse_address(settings({"clickhouse_url": "http://u:p%40s%2Fs@h/"})) == "http://u:p%40s%2Fs@h/"
    assert clickhouse_address(settings({"clickhouse_url": "http://h/"})) == "http://default:@h/"
    assert clickhouse_address(settings()) == ""


@given(st.data())
def test_every_setting_reads_back_as_it_is_written(data):
    name = data.draw(
        st.sampled_from(
            [name for name, spec in SPECS.items() if spec.kind not in {"text", "path"} and name != "workers"]
        )
    )
    spec = SPECS[name]
    if spec.kind == "boolean":
        value = data.draw(st.booleans())
    elif spec.kind == "choice":
        value = data.draw(st.sampled_from(spec.choices))
    elif spec.kind == "duration":
        value = data.draw(st.integers(int(spec.least * 1000), int(spec.most * 1000))) / 1000
    else:
        value = data.draw(st.integers(int(spec.least), int(spec.most or 2**50)))

    loaded = _load_ignoring_clashes(name, format_value(spec, value))

    assert loaded is None or loaded == value


def _load_ignoring_clashes(name, text):
    """Return the value that was read, or None if it was read and does not go with the defaults."""
    try:
        return getattr(settings({name: text}), name)
    except ConfigurationError as error:
        refused = [problem for problem in error.problems if problem.startswith("--")]
    assert refused == []
    return None


def test_every_setting_has_one_name_in_three_spellings():
    assert (flag("batch_rows_max"), variable("batch_rows_max")) == ("--batch-rows-max", "SLUICE_BATCH_ROWS_MAX")
    assert [field.name for field in fields(Settings)] == list(SPECS)
    assert len({variable(name) for name in SPECS}) == len(SPECS)


def test_every_default_is_within_its_own_bounds():
    for name, spec in SPECS.items():
        value = getattr(DEFAULTS, name)
        if spec.kind in {"integer", "size", "duration"} and value:
            assert spec.least <= value <= (spec.most or value), name


def test_the_secret_is_made_once_and_kept_from_others(tmp_path):
    asked = settings({"data_dir": str(tmp_path / "new")})

    first = with_secret(asked).secret
    assert len(first) >= 32
    assert with_secret(asked).secret == first
    assert stat.S_IMODE((tmp_path / "new" / "secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret"]


def test_processes_that_start_together_agree_on_the_secret(tmp_path):
    asked = settings({"data_dir": str(tmp_path)})
    found = set()
    threads = [threading.Thread(target=lambda: found.add(with_secret(asked).secret)) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 1


def test_a_secret_that_is_set_makes_no_file(tmp_path):
    asked = settings({"data_dir": str(tmp_path), "secret": "x" * 32})

    assert with_secret(asked).secret == "x" * 32
    assert list(tmp_path.iterdir()) == []


def test_each_log_of_a_larger_run_is_adopted_by_exactly_one_worker(tmp_path):
    for index in range(7):
        log_directory(tmp_path, index).mkdir(parents=True)
    (tmp_path / "log" / "worker-9").write_text("a file, not a log")
    (tmp_path / "log" / "worker-1.bak").mkdir()

    adopted = [orphan_directories(tmp_path, index, 3) for index in range(3)]

    assert [[path.name for path in paths] for paths in adopted] == [
        ["worker-3", "worker-6"],
        ["worker-4"],
        ["worker-5"],
    ]
    assert orphan_directories(tmp_path / "nothing", 0, 1) == []


def test_orders_reach_a_child_unchanged(tmp_path):
    asked = settings({"data_dir": str(tmp_path), "clickhouse_url": "http://u:hunter2@h/", "hold_seconds_max": "1.5"})
    identity = WorkerIdentity(index=2, count=3, clickhouse_url="http://u:hunter2@h/", metrics_directory=tmp_path)

    line = Orders(asked, identity).encode()

    assert Orders.decode(line) == Orders(asked, identity)
    assert line.count(b"\n") == 1
    assert "hunter2" not in repr(identity)
