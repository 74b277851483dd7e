"""The dialect: what is guessed, what is taken from the client, what is refused."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.imports.dialect import Dialect, DialectOptions, guess_dialect


def guess(sample, columns=None, *, is_cut=False, **given):
    return guess_dialect(sample, DialectOptions(**given), columns=columns, is_cut=is_cut)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_cuts_all_records_alike(delimiter):
    rows = [["id", "note", "at"], ["1", "a, b", "2026-01-05"], ["2", "c; d | e\tf", "2026-01-06"]]
    sample = "\n".join(delimiter.join(f'"{field}"' for field in row) for row in rows).encode()
    assert guess(sample) == Dialect(delimiter, has_header=True)


def test_a_decimal_comma_does_not_hide_a_semicolon():
    assert guess(b"name;price\na;1,5\nb;20\nc;3,75\n").delimiter == ";"


def test_one_column_is_read_with_commas():
    assert guess(b"name\nAda\nBob, the other one\nEve\n").delimiter == ","


@pytest.mark.parametrize(
    ("sample", "newline"), [(b"a,1\r\nb,2\r\n", "\r\n"), (b"a,1\rb,2\r", "\r"), (b"a,1\nb,2", "\n"), (b"", "\n")]
)
def test_the_newline_is_the_one_in_use(sample, newline):
    assert guess(sample).newline == newline


def test_a_backslash_escapes_only_if_records_cannot_be_read_without():
    assert guess(b'a,"say \\"hi\\", you"\nb,"x"\n').escapechar == "\\"
    assert guess(b'a,"C:\\temp"\nb,"x ""y"""\n').escapechar == ""


def test_what_the_client_says_is_not_guessed():
    found = guess(
        b"a,b;c\n1,2;3\n", delimiter=";", newline="\\r\\n", escapechar="^", charset="ISO-8859-1", has_header=False
    )
    assert found == Dialect(";", "\r\n", '"', "^", "iso8859-1", False)
    assert guess(b"a,b\tc\n", delimiter="\\t").delimiter == "\t"


@pytest.mark.parametrize(
    "given",
    [
        {"delimiter": ",,"}, {"delimiter": '"'}, {"delimiter": "\n"}, {"newline": "abc"}, {"escapechar": ","},
        {"delimiter": "\0"}, {"delimiter": "|", "newline": "||"}, {"charset": "klingon"}, {"charset": "base64"}, {"charset": "idna"},
        {"charset": "cp037"}, {"charset": "unicode_escape"}, {"charset": "a\0b"},
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(given):
    with pytest.raises(InvalidRequest):
        guess(b"a,b,|;\t\n1,2\n", **given)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_knows_better_than_the_charset(encoding):
    found = guess("größe;n\nä;1\n".encode(encoding), charset="latin-1")
    assert (found.encoding, found.delimiter, found.has_header) == (encoding.removesuffix("-sig"), ";", True)


def test_a_file_that_is_not_in_its_charset_is_refused_when_nothing_of_it_can_be_read():
    with pytest.raises(InvalidRequest, match="charset"):
        guess(b"\x00\xd8\x00\x00abc", charset="utf-16-le")


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (b"id,name\n1,Ada\n", True),
        (b"1,Ada\n2,Bob\n", False),
        (b"carrier,name\n9E,Endeavor Air Inc.\nAA,American Airlines Inc.\n", True),  # words only, below too
        (b"red,blue\ngreen,yellow\n", False),
        (b"Ada,Paris\nBob,New York\nEve,Rome\n", False),
        (b"id,id\n1,2\n", False),  # names are there once
        (b"id,\n1,2\n", False),
        (b"day,n\n2026-01-05,NA\n2026-01-06,\n", True),
        (b"id,name\n", False),
        (b"", False),
    ],
)
def test_a_header_is_words_above_values(sample, expected):
    assert guess(sample).has_header is expected


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (b"id,name\n1,Ada\n", True),
        (b"id,name\n", True),  # and nothing else
        (b"name,extra\nAda,x\n", True),
        (b"who,what,where\nAda,x,y\n", False),
        (b"1,Ada\n", False),
        (b" id , Full Name \n1,Ada\n", True),  # as the columns would be called
        (b"", False),
    ],
)
def test_for_a_known_data_source_a_header_is_what_names_its_columns(sample, expected):
    assert guess(sample, ["id", "name", "Full_Name"]).has_header is expected


def test_half_a_record_at_the_end_of_a_sample_says_nothing():
    assert guess(b'id;note\n1;"a"\n2;"a,b,c', is_cut=True) == Dialect(";", has_header=True)


def test_the_analyze_api_shows_it_as_json():
    assert guess(b"a,b\n1,2\n").wire() == {
        "delimiter": ",", "has_header": True, "newline": "\n", "quotechar": '"', "escapechar": None, "encoding": "utf-8",
    }  # fmt: skip
