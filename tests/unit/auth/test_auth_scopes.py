"""What each scope grants, and how scopes are written."""

import pytest

from gateway.auth.scopes import GRANTS, SCOPE_CHARS_MAX, Action, Scope, Scopes, parse_scope
from gateway.core.errors import Forbidden, InvalidRequest

COLUMNS = {
    "create": Action.DATASOURCE_CREATE,
    "append": Action.DATASOURCE_APPEND,
    "replace": Action.DATASOURCE_REPLACE,
    "truncate": Action.DATASOURCE_TRUNCATE,
    "alter": Action.DATASOURCE_ALTER,
    "drop": Action.DATASOURCE_DROP,
    "read": Action.DATASOURCE_READ,
    "list": Action.DATASOURCE_LIST,
}

# The table of the wire contract: what is granted for the data source `mine`, and for any other.
TABLE = [
    ("ADMIN", "create append replace truncate alter drop read list", "the same"),
    ("ADMIN_USER", "create append replace truncate alter drop read list", "the same"),
    ("DATASOURCES:CREATE", "create append replace truncate alter list", "the same"),
    ("DATASOURCES:APPEND:mine", "append list", ""),
    ("DATASOURCES:READ:mine", "read list", ""),
    ("DATASOURCES:READ:mine:a = 1", "read list", ""),
    ("DATASOURCES:DROP:mine", "drop", ""),
    ("DATASOURCES:DROP", "drop", "the same"),
    ("WORKSPACE:READ_ALL", "read list", "the same"),
    ("WORKSPACE:DEPLOY", "", ""),
    ("ORG_DATASOURCES:READ", "", ""),
    ("TOKENS", "", ""),
    ("PIPES:CREATE", "", ""),
    ("PIPES:READ:mine", "", ""),
    ("PIPES:DROP", "", ""),
]

PIPE_COLUMNS = {
    "create": Action.PIPE_CREATE,
    "alter": Action.PIPE_ALTER,
    "drop": Action.PIPE_DROP,
    "read": Action.PIPE_READ,
    "list": Action.PIPE_LIST,
}

PIPE_TABLE = [
    ("ADMIN", "create alter drop read list", "the same"),
    ("ADMIN_USER", "create alter drop read list", "the same"),
    ("PIPES:CREATE", "create alter list", "the same"),
    ("PIPES:READ:mine", "read list", ""),
    ("PIPES:READ:mine:a = 1", "read list", ""),
    ("PIPES:DROP", "drop", "the same"),
    ("PIPES:DROP:mine", "drop", ""),
    ("WORKSPACE:READ_ALL", "read list", "the same"),
    ("DATASOURCES:CREATE", "", ""),
    ("DATASOURCES:READ:mine", "", ""),
    ("TOKENS", "", ""),
]

WORKSPACE_TABLE = [
    ("ADMIN", {Action.ADMIN, Action.TOKENS, Action.DEPLOY, Action.SERVICE_READ}),
    ("ADMIN_USER", {Action.ADMIN, Action.TOKENS, Action.DEPLOY, Action.SERVICE_READ}),
    ("TOKENS", {Action.TOKENS}),
    ("WORKSPACE:DEPLOY", {Action.DEPLOY}),
    ("WORKSPACE:READ_ALL", {Action.SERVICE_READ}),
    ("ORG_DATASOURCES:READ", {Action.ORGANIZATION_READ}),
    ("DATASOURCES:CREATE", set()),
    ("PIPES:CREATE", set()),
]


def _granted(scope, columns, resource):
    scopes = Scopes([parse_scope(scope)])
    return {name for name, action in columns.items() if scopes.allows(action, resource)}


@pytest.mark.parametrize(("scope", "mine", "other"), TABLE)
def test_a_scope_grants_its_row_of_the_data_sources_table(scope, mine, other):
    assert _granted(scope, COLUMNS, "mine") == set(mine.split())
    assert _granted(scope, COLUMNS, "other") == set((mine if other == "the same" else other).split())


@pytest.mark.parametrize(("scope", "mine", "other"), PIPE_TABLE)
def test_a_scope_grants_its_row_of_the_pipes_table(scope, mine, other):
    assert _granted(scope, PIPE_COLUMNS, "mine") == set(mine.split())
    assert _granted(scope, PIPE_COLUMNS, "other") == set((mine if other == "the same" else other).split())


@pytest.mark.parametrize(("scope", "granted"), WORKSPACE_TABLE)
def test_a_scope_grants_its_part_of_the_workspace(scope, granted):
    scopes = Scopes([parse_scope(scope)])
    others = {Action.ADMIN, Action.TOKENS, Action.DEPLOY, Action.SERVICE_READ, Action.ORGANIZATION_READ}

    assert {action for action in others if scopes.allows(action)} == granted


def test_every_scope_and_every_action_is_in_a_table():
    assert {parse_scope(row[0]).type for row in [*TABLE, *PIPE_TABLE, *WORKSPACE_TABLE]} == set(GRANTS)
    assert {action for granted in GRANTS.values() for action in granted} == set(Action)


def test_no_scopes_grant_nothing():
    scopes = Scopes([])

    assert not any(scopes.allows(action, "x") or scopes.allows(action) for action in Action)


def test_a_scope_for_one_is_not_for_all():
    scopes = Scopes([parse_scope("DATASOURCES:APPEND:mine")])

    assert not scopes.allows(Action.DATASOURCE_APPEND)
    assert not scopes.allows(Action.DATASOURCE_APPEND, "")


def test_a_resource_may_go_by_several_texts():
    scopes = Scopes([parse_scope("DATASOURCES:APPEND:t_1")])

    assert scopes.allows(Action.DATASOURCE_APPEND, "t_1", "events")
    assert scopes.allows(Action.DATASOURCE_APPEND, "events", "t_1")
    assert not scopes.allows(Action.DATASOURCE_APPEND, "t_2", "events")


def test_grants_add_up():
    scopes = Scopes([parse_scope("DATASOURCES:APPEND:a"), parse_scope("DATASOURCES:READ:a"), parse_scope("TOKENS")])

    assert scopes.allows(Action.DATASOURCE_APPEND, "a")
    assert scopes.allows(Action.DATASOURCE_READ, "a")
    assert scopes.allows(Action.TOKENS)


@pytest.mark.parametrize(
    ("scopes", "filters"),
    [
        (["DATASOURCES:READ:a"], ()),
        (["ADMIN"], ()),
        (["WORKSPACE:READ_ALL", "DATASOURCES:READ:a:x = 1"], ()),
        (["DATASOURCES:READ:a:x = 1"], ("x = 1",)),
        (["DATASOURCES:READ:a:x = 1", "DATASOURCES:READ:a"], ()),
        (["DATASOURCES:READ:a:x = 1", "DATASOURCES:READ:a:y = 2", "DATASOURCES:READ:a:x = 1"], ("x = 1", "y = 2")),
        (["DATASOURCES:READ:a:x = 1", "DATASOURCES:READ:name:y = 2"], ("x = 1", "y = 2")),
        (["DATASOURCES:READ:a:x = 1", "DATASOURCES:READ:b"], ("x = 1",)),
    ],
)
def test_rows_are_filtered_as_the_least_strict_scope_says(scopes, filters):
    assert Scopes(map(parse_scope, scopes)).row_filters(Action.DATASOURCE_READ, "a", "name") == filters


@pytest.mark.parametrize("scopes", [[], ["DATASOURCES:READ:b"], ["DATASOURCES:APPEND:a"], ["PIPES:READ:a"]])
def test_rows_that_may_not_be_read_have_no_filter_but_an_error(scopes):
    with pytest.raises(Forbidden, match="Token has not enough permissions to read this data source"):
        Scopes(map(parse_scope, scopes)).row_filters(Action.DATASOURCE_READ, "a")


@pytest.mark.parametrize(
    ("text", "scope", "wire"),
    [
        ("ADMIN", Scope("ADMIN"), {"type": "ADMIN"}),
        ("DATASOURCES:CREATE", Scope("DATASOURCES:CREATE"), {"type": "DATASOURCES:CREATE"}),
        (
            "PIPES:READ:top_pages",
            Scope("PIPES:READ", "top_pages"),
            {"type": "PIPES:READ", "resource": "top_pages", "filter": ""},
        ),
        (
            "DATASOURCES:READ:sales:shop = 'a:b' AND paid = 1",
            Scope("DATASOURCES:READ", "sales", "shop = 'a:b' AND paid = 1"),
            {"type": "DATASOURCES:READ", "resource": "sales", "filter": "shop = 'a:b' AND paid = 1"},
        ),
    ],
)
def test_a_scope_is_read_and_shown(text, scope, wire):
    assert parse_scope(text) == scope
    assert str(scope) == text
    assert scope.wire() == wire


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "admin",
        "NOPE",
        "DATASOURCE:APPEND:x",
        "PIPE:READ:x",
        "DATASOURCES",
        "DATASOURCES:READ",
        "DATASOURCES:READ:",
        "DATASOURCES:READ::a = 1",
        "DATASOURCES:APPEND",
        "DATASOURCES:APPEND:x:a = 1",
        "DATASOURCES:CREATE:x",
        "DATASOURCES:DROP:x:a = 1",
        "PIPES:READ",
        "ADMIN:x",
        "TOKENS:x:y",
        "WORKSPACE:READ_ALL:x",
        " ADMIN",
    ],
)
def test_what_is_no_scope_is_refused(text):
    with pytest.raises(InvalidRequest, match="Invalid scope"):
        parse_scope(text)


def test_a_scope_that_is_too_long_is_refused():
    with pytest.raises(InvalidRequest, match="too long"):
        parse_scope("DATASOURCES:READ:x:" + "a" * SCOPE_CHARS_MAX)


def test_a_stored_scope_that_is_not_known_grants_nothing_and_spoils_nothing():
    scopes = Scopes.read(["FUTURE:THING:x", "DATASOURCES:APPEND:x"])

    assert scopes.scopes == (Scope("DATASOURCES:APPEND", "x"),)
