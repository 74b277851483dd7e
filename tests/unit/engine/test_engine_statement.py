"""What the text of a statement tells before the engine sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.errors import EngineError
from gateway.engine.statement import OUR_ID, insert, is_insert, is_read, kill_by_our_id, plain


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV\r\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV 1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV\n\n1", b"INSERT INTO t ", "CSV", b"\n1"),
        (b"insert into db.t (a, `format`) values (1)", b"insert into db.t (a, `format`) ", "Values", b"(1)"),
        (b"INSERT INTO format FORMAT TSV\n1", b"INSERT INTO format ", "TSV", b"1"),
        (b"INSERT INTO values VALUES (1)", b"INSERT INTO values ", "Values", b"(1)"),
        (b"INSERT INTO TABLE t FORMAT TSV\n1", b"INSERT INTO TABLE t ", "TSV", b"1"),
        (b"INSERT INTO {t:Identifier} FORMAT TSV\n1", b"INSERT INTO {t:Identifier} ", "TSV", b"1"),
        (b"INSERT INTO FUNCTION null('a Int8') FORMAT TSV\n1", b"INSERT INTO FUNCTION null('a Int8') ", "TSV", b"1"),
        (b"INSERT INTO t SETTINGS a=1 FORMAT CSV\n1", b"INSERT INTO t SETTINGS a=1 ", "CSV", b"1"),
        (b"INSERT INTO t FORMAT CSV SETTINGS a=1, b='x'\n1,2", b"INSERT INTO t SETTINGS a=1, b='x'", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT Values SETTINGS a=-1 (1)", b"INSERT INTO t SETTINGS a=-1", "Values", b"(1)"),
        (b"/* c */ INSERT INTO t -- FORMAT x\n FORMAT CSV\n1", b"/* c */ INSERT INTO t -- FORMAT x\n ", "CSV", b"1"),
    ],
)
def test_an_insert_is_parted_from_its_data(text, head, name, data):
    found = insert(text)

    assert found is not None
    assert (found.head.rstrip(b"\n"), found.format, text[found.data_at :]) == (head.rstrip(b"\n"), name, data)


@given(st.binary(max_size=100).filter(lambda data: data[:8].upper() != b"SETTINGS"))
def test_data_is_never_read_as_part_of_the_statement(data):
    text = b"INSERT INTO t FORMAT RowBinary\n" + data

    found = insert(text)

    assert found is not None
    assert text[found.data_at :] == data


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t SELECT 1",
        b"INSERT INTO t (a) SELECT format FROM values",
        b"INSERT INTO t (SELECT 1)",
        b"INSERT INTO t WITH 1 AS x SELECT x",
        b"INSERT INTO t",
        b"SELECT 1 FORMAT CSV",
        b"",
    ],
)
def test_a_statement_without_data_is_no_insert_with_data(text):
    assert insert(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"INSERT INTO t SELECT * FROM input('a Int8') FORMAT CSV\n1", 48),
        (b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 78),
        (b"INSERT INTO t FORMAT CSV; DROP TABLE t", 62),
    ],
)
def test_an_insert_that_the_library_would_do_wrong_is_refused(text, code):
    with pytest.raises(EngineError) as refused:
        insert(text)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SELECT 1", b"SELECT 1\nINTO OUTFILE 'p' APPEND\nFORMAT TSV "),
        (b"SELECT 1;", b"SELECT 1\nINTO OUTFILE 'p' APPEND\nFORMAT TSV "),
        (b"SELECT 1 -- end", b"SELECT 1\nINTO OUTFILE 'p' APPEND\nFORMAT TSV "),
        (b"SELECT 1 FORMAT JSON", b"SELECT 1 \nINTO OUTFILE 'p' APPEND\nFORMAT JSON "),
        (b"SELECT 1 format JSON settings a=1;;", b"SELECT 1 \nINTO OUTFILE 'p' APPEND\nFORMAT JSON  settings a=1"),
        (b"SELECT 1 SETTINGS a=1", b"SELECT 1 SETTINGS a=1\nINTO OUTFILE 'p' APPEND\nFORMAT TSV "),
        (b"SELECT format FROM t", b"SELECT format FROM t\nINTO OUTFILE 'p' APPEND\nFORMAT TSV "),
        (b"SELECT 'FORMAT JSON'", b"SELECT 'FORMAT JSON'\nINTO OUTFILE 'p' APPEND\nFORMAT TSV "),
    ],
)
def test_a_select_is_sent_to_a_file_before_its_format(text, expected):
    assert plain(text).into("p", "TSV") == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"SELECT 1; SELECT 2", 62),
        (b"SELECT 1;; DROP TABLE t;", 62),
        (b"", 62),
        (b"  -- nothing\n", 62),
        (b";", 62),
        (b"SELECT 1 INTO OUTFILE '/tmp/x'", 358),
        (b"SELECT 1 into /* */ outfile '/tmp/x' FORMAT CSV", 358),
        (b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 78),
    ],
)
def test_what_a_server_refuses_is_refused(text, code):
    with pytest.raises(EngineError) as refused:
        plain(text)

    assert refused.value.code == code


def test_reads_and_inserts_are_told_by_their_first_word():
    assert is_read(b"-- c\nselect 1")
    assert is_read(b"(SELECT 1)")
    assert is_read(b"show tables")
    assert not is_read(b"CREATE TABLE t AS SELECT 1")
    assert is_insert(b" insert into t values")
    assert not is_insert(b"SELECT 'INSERT'")


def test_a_kill_finds_the_id_that_the_client_gave():
    text = b"KILL QUERY WHERE query_id = 'query_id' SYNC"

    assert kill_by_our_id(text) == b"KILL QUERY WHERE " + OUR_ID + b" = 'query_id' SYNC"
    assert kill_by_our_id(b"SELECT query_id FROM system.processes") == b"SELECT query_id FROM system.processes"
