"""Tokens, whatever is in them: what was signed is read back, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.token import mint, verify
from gateway.core.errors import Unauthenticated

SECRET = b"s" * 32
texts = st.text(max_size=40, alphabet=st.characters(exclude_categories=["Cs"]))
versions = st.integers(1, 2**62)
tokens = st.builds(mint, st.just(SECRET), texts, texts, host=texts, secret_version=versions)


@given(texts, texts, texts, versions)
def test_what_was_signed_is_read_back(owner_id, token_id, host, version):
    claims = verify(SECRET, mint(SECRET, owner_id, token_id, host=host, secret_version=version))

    assert (claims.owner_id, claims.token_id, claims.host, claims.secret_version) == (owner_id, token_id, host, version)


@given(tokens, st.data())
def test_a_token_changed_anywhere_is_refused(token, data):
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[at]))

    with pytest.raises(Unauthenticated):
        verify(SECRET, token[:at] + other + token[at + 1 :])


@given(tokens, st.data())
def test_a_token_cut_anywhere_is_refused(token, data):
    with pytest.raises(Unauthenticated):
        verify(SECRET, token[: data.draw(st.integers(0, len(token) - 1))])


@given(st.one_of(st.text(), st.from_regex(r"p\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{43}", fullmatch=True)))
def test_whatever_is_shown_is_refused_with_one_sentence(token):
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        verify(SECRET, token)


@given(st.binary(min_size=32, max_size=64), st.binary(min_size=32, max_size=64), texts)
def test_a_secret_opens_only_its_own(mine, yours, token_id):
    token = mint(mine, "owner", token_id)

    # HMAC fills a short key with zero bytes, so these are one key.
    if mine.ljust(64, b"\0") == yours.ljust(64, b"\0"):
        return
    with pytest.raises(Unauthenticated):
        verify(yours, token)
