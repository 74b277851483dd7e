"""Scopes, whatever is written: what was parsed is written back, and grants never exceed the scopes."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.scopes import GRANTS, Action, Scope, Scopes, parse_scope
from gateway.core.errors import InvalidRequest

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
of_one = st.builds(Scope, st.sampled_from(["DATASOURCES:APPEND", "DATASOURCES:DROP", "PIPES:DROP"]), names)
filtered = st.builds(Scope, st.sampled_from(["DATASOURCES:READ", "PIPES:READ"]), names, st.text(max_size=30))
of_all = st.builds(
    Scope, st.sampled_from([type_ for type_ in GRANTS if "APPEND" not in type_ and ":READ" not in type_])
)
scopes = st.one_of(of_one, filtered, of_all)


@given(scopes)
def test_a_scope_written_and_read_is_the_same(scope):
    assert parse_scope(str(scope)) == scope


@given(st.one_of(st.text(), st.lists(st.sampled_from([*GRANTS, "x", ":", "", "a = 1"])).map(":".join)))
def test_whatever_is_written_is_a_scope_or_refused(text):
    try:
        scope = parse_scope(text)
    except InvalidRequest:
        return
    assert parse_scope(str(scope)) == scope


@given(st.lists(scopes, max_size=6), names, st.sampled_from(Action))
def test_what_is_granted_is_granted_by_one_of_the_scopes(given_scopes, resource, action):
    granted = Scopes(given_scopes).allows(action, resource)

    assert granted == any(action in GRANTS[scope.type] and scope.resource in ("", resource) for scope in given_scopes)


@given(st.lists(scopes, max_size=6), st.lists(scopes, max_size=3), names, st.sampled_from(Action))
def test_more_scopes_never_take_anything_away(some, more, resource, action):
    if Scopes(some).allows(action, resource):
        assert Scopes([*some, *more]).allows(action, resource)
