"""The lexer finds a word only where the engine sees one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.lexer import Kind, tokens


def words(text: bytes) -> list[bytes]:
    return [token.text for token in tokens(text) if token.kind is Kind.WORD]


@pytest.mark.parametrize(
    "hidden",
    [
        b"'FORMAT'",
        b"'it''s FORMAT'",
        b"'it\\'s FORMAT'",
        b'"FORMAT"',
        b"`FORMAT`",
        b"-- FORMAT\n",
        b"// FORMAT\n",
        b"# FORMAT\n",
        b"#! FORMAT\n",
        b"/* FORMAT */",
        b"/* /* FORMAT */ FORMAT */",
        b"$$ FORMAT $$",
        b"$a$ FORMAT $$ FORMAT $a$",
        "“FORMAT”".encode(),
        "‘FORMAT’".encode(),
        b"'FORMAT",
        b"/* FORMAT",
        b"'FORMAT\\",
    ],
)
def test_a_word_in_a_string_a_name_or_a_comment_is_none(hidden):
    assert b"FORMAT" not in words(b"SELECT 1 " + hidden)


def test_words_come_in_upper_case_and_with_their_place():
    found = list(tokens(b"select  a.b, f(x) FORMAT json"))

    assert [(token.text, token.depth) for token in found if token.kind is Kind.WORD] == [
        (b"SELECT", 0),
        (b"A", 0),
        (b"B", 0),
        (b"F", 0),
        (b"X", 1),
        (b"FORMAT", 0),
        (b"JSON", 0),
    ]
    assert (found[0].start, found[0].end, found[1].start) == (0, 6, 8)


@given(st.binary(max_size=300))
def test_tokens_are_in_order_and_inside_the_text(text):
    at = 0
    for token in tokens(text):
        assert at <= token.start < token.end <= len(text)
        at = token.end
