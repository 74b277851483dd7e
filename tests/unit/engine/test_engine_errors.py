"""ClickHouse's errors, taken apart and put together again."""

import pytest

from gateway.engine.errors import EngineError, parse

UNKNOWN_TABLE = "Code: 60. DB::Exception: Table default.nope does not exist. (UNKNOWN_TABLE)"


@pytest.mark.parametrize(
    "text",
    [
        UNKNOWN_TABLE,
        UNKNOWN_TABLE + " (version 26.9.2.1)",
        UNKNOWN_TABLE + " (version 26.9.2.1 (official build))",
        f"Code: 60. DB::Exception: {UNKNOWN_TABLE} (version 26.9.2.1). (UNKNOWN_TABLE)",
        f"Code: 60. DB::Exception: Code: 60. DB::Exception: {UNKNOWN_TABLE} (version 1.2). (UNKNOWN_TABLE) (version 1.2)",
        f"Failed to create connection: {UNKNOWN_TABLE}",
    ],
)
def test_an_error_is_written_as_a_server_does_however_it_was_wrapped(text):
    error = parse(text)

    assert (error.code, error.name, error.status) == (60, "UNKNOWN_TABLE", 404)
    assert error.text("26.9.2.1") == UNKNOWN_TABLE + " (version 26.9.2.1)"


def test_brackets_in_the_message_are_kept():
    error = parse("Code: 62. DB::Exception: failed at position 3 (FOO): (BAR). Expected (A). (SYNTAX_ERROR)")

    assert error.name == "SYNTAX_ERROR"
    assert "(FOO): (BAR)" in str(error)


def test_an_exception_of_another_kind_has_its_code_too():
    error = parse(
        "Code: 519. DB::NetException: All attempts failed. Log: \n\nCode: 279. DB::NetException: No. (NO_REPLICA)"
    )

    assert (error.code, error.name) == (519, "NO_REPLICA")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            (
                "Syntax error: failed at position 8 (t) (line 1, col 8): t (a) \n\nFROM INFILE '/dev/fd/41' COMPRESSION 'none'\n\n"
                "FORMAT CSV. Expected INTO."
            ),
            "Syntax error: failed at position 8 (t) (line 1, col 8): t (a)\n\nFORMAT CSV. Expected INTO.",
        ),
        (
            (
                "The Arrow stream is empty: (in file/uri /dev/fd/41): While executing ArrowIPCBlockInputFormat: "
                "While executing File: data for INSERT was parsed from file."
            ),
            "The Arrow stream is empty: While executing ArrowIPCBlockInputFormat.",
        ),
        ("In scope SELECT x\nINTO OUTFILE '/dev/fd/7' APPEND\nFORMAT TSV .", "In scope SELECT x."),
    ],
)
def test_an_error_does_not_speak_of_our_own_clauses(said, told):
    assert str(parse(f"Code: 62. DB::Exception: {said} (SYNTAX_ERROR)")) == told.rstrip(".")


def test_text_that_is_no_exception_is_an_unknown_one():
    error = parse("terminate called")

    assert (error.code, error.status) == (1002, 500)
    assert "terminate called" in error.text("1")


@pytest.mark.parametrize(
    ("code", "status"),
    [(62, 400), (27, 400), (60, 404), (81, 404), (115, 404), (516, 403), (159, 408), (48, 501), (241, 500), (164, 500)],
)
def test_a_code_has_the_status_a_server_gives_it(code, status):
    assert EngineError(code, "x", "X").status == status
