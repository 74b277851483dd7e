"""Who may use a route: each sort of token against each sort of need."""

import pytest

from gateway.auth import Access, Action, Kind, Principal, Scopes, check_access, parse_scope
from gateway.core.errors import Forbidden


def _principal(*scopes, **more):
    return Principal("id", "name", "w", Scopes(map(parse_scope, scopes)), **more)


@pytest.mark.parametrize("need", [Access.VALID, Access.ANYBODY, Action.DATASOURCE_APPEND])
def test_a_token_for_one_data_source_uses_the_routes_of_that_action(need):
    check_access(_principal("DATASOURCES:APPEND:t_1"), need, jwt=False)


@pytest.mark.parametrize("need", [Access.ACCOUNT, Action.TOKENS, Action.DATASOURCE_READ, Action.DATASOURCE_CREATE])
def test_it_uses_no_others(need):
    with pytest.raises(Forbidden, match=r"may do this|not enough permissions"):
        check_access(_principal("DATASOURCES:APPEND:t_1"), need, jwt=True)


def test_the_routes_of_the_account_are_for_the_account():
    check_access(_principal("ADMIN_USER", is_account=True), Access.ACCOUNT, jwt=False)
    with pytest.raises(Forbidden, match="user token"):
        check_access(_principal("ADMIN"), Access.ACCOUNT, jwt=False)


@pytest.mark.parametrize("need", [Access.VALID, Action.DATASOURCE_APPEND])
def test_a_jwt_gets_in_only_where_the_table_says_so_whatever_its_scopes(need):
    jwt = _principal("ADMIN", kind=Kind.JWT)

    check_access(jwt, need, jwt=True)
    with pytest.raises(Forbidden, match="JWT"):
        check_access(jwt, need, jwt=False)


def test_a_jwt_may_ask_whether_it_is_valid():
    check_access(_principal(kind=Kind.JWT), Access.ANYBODY, jwt=False)
