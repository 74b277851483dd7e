"""JWTs, whatever is in them: any other byte, any cut, any other key is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import jwt
from tests.support.jwts import sign

KEY = "p.the-admin-token"
CLAIMS = {
    "workspace_id": "5f3b0000-0000-4000-8000-000000000000",
    "name": "user_991",
    "exp": 1893456000,
    "scopes": [{"type": "PIPES:READ", "resource": "top", "fixed_params": {"shop_id": 7, "tier": "gold"}}],
    "limits": {"rps": 10},
}
TOKEN = sign(KEY, CLAIMS)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _is_taken(token, key=KEY):
    found = jwt.take_apart(token)
    return found is not None and jwt.verify(found, key.encode())


@pytest.mark.parametrize("at", range(len(TOKEN)))
def test_every_flipped_byte_is_refused(at):
    assert _is_taken(TOKEN)
    assert not any(_is_taken(TOKEN[:at] + chr(ord(TOKEN[at]) ^ 1 << bit) + TOKEN[at + 1 :]) for bit in range(8))


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_token_changed_anywhere_is_refused(at, other):
    assert other == TOKEN[at] or not _is_taken(TOKEN[:at] + other + TOKEN[at + 1 :])


@given(st.integers(0, len(TOKEN) - 1), st.text(max_size=3))
def test_a_token_cut_or_lengthened_anywhere_is_refused(at, more):
    assert not _is_taken(TOKEN[:at])
    assert not more or not _is_taken(TOKEN[:at] + more + TOKEN[at:])


@given(st.text(max_size=80), st.text(max_size=300))
def test_whatever_is_shown_is_no_jwt(key, text):
    assert not _is_taken(text)
    assert not _is_taken(TOKEN, key)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "iat", "x"]), values))
def test_whatever_the_claims_are_they_make_a_reader_or_are_refused(changed):
    found = jwt.take_apart(sign(KEY, {**CLAIMS, **changed}))
    if found is None:
        return
    try:
        principal = jwt.principal_of(found)
    except jwt.InvalidJwt:
        return
    assert not principal.is_admin
    assert {scope.type for scope in principal.scopes.scopes} <= set(jwt.TYPES)
    assert all(scope.resource for scope in principal.scopes.scopes)
    assert 0 < principal.expires_at <= jwt.EXPIRY_MAX
