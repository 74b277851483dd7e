"""From a string to a principal: here and at once, or after one more look at what other processes did."""

import asyncio

import pytest

from gateway.auth import Action, Authenticator, UnknownToken, service
from gateway.auth.token import mint
from gateway.catalog import Catalog, CatalogStore
from gateway.core.clock import SystemClock
from gateway.core.errors import Forbidden, Unauthenticated, Unavailable

SECRET = b"s" * 32


class Watched:
    """A store that counts the checks, and can be out of reach."""

    def __init__(self, store):
        self.store = store
        self.checks = 0
        self.is_down = False

    async def changes_since(self, version):
        self.checks += 1
        if self.is_down:
            raise Unavailable("The metadata database does not answer; try again")
        return await self.store.changes_since(version)


@pytest.fixture
async def store(tmp_path):
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path}/catalog.db", SystemClock())
    yield store
    await store.aclose()


@pytest.fixture
def watched(store):
    return Watched(store)


@pytest.fixture
async def catalog(watched):
    catalog = Catalog(watched, SystemClock())
    await catalog.start()
    watched.checks = 0
    return catalog


@pytest.fixture
def authenticator(catalog):
    return Authenticator(catalog, SECRET)


@pytest.fixture
async def app(store, catalog, watched):
    """A token the catalog knows."""
    workspace_id = catalog.snapshot.user_token().workspace_id
    async with store.change() as change:
        token = await change.create_token(workspace_id, "app", ("DATASOURCES:APPEND:t_1",))
    await catalog.refresh()
    watched.checks = 0
    return token


async def test_a_token_turns_into_its_principal(authenticator, app):
    principal = authenticator.authenticate(authenticator.token_string(app))

    assert (principal.token_id, principal.token_name, principal.workspace_id) == (app.id, "app", app.workspace_id)
    assert principal.allows(Action.DATASOURCE_APPEND, "t_1")
    assert not principal.allows(Action.DATASOURCE_READ, "t_1")
    assert (principal.is_admin, principal.is_user, principal.is_account) == (False, False, False)


async def test_a_principal_that_may_not_is_told_what(authenticator, app):
    principal = authenticator.authenticate(authenticator.token_string(app))

    principal.require(Action.DATASOURCE_APPEND, "t_1")
    with pytest.raises(Forbidden, match="Token has not enough permissions to append to this data source"):
        principal.require(Action.DATASOURCE_APPEND, "t_2")


async def test_a_token_is_turned_once_and_then_remembered(authenticator, app):
    string = authenticator.token_string(app)

    assert authenticator.authenticate(string) is authenticator.authenticate(string)


async def test_the_built_in_tokens_are_who_they_say(authenticator):
    strings = authenticator.builtin_tokens()

    user = authenticator.authenticate(strings.user_token)
    admin = authenticator.authenticate(strings.admin_token)
    workspace_admin = authenticator.authenticate(strings.workspace_admin_token)

    assert (user.is_user, user.is_account, user.is_admin) == (True, True, True)
    assert (admin.is_user, admin.is_account, admin.is_admin) == (False, True, True)
    assert (workspace_admin.is_user, workspace_admin.is_account, workspace_admin.is_admin) == (False, False, True)
    assert admin.token_name == "admin local_testing@tinybird.co"
    assert {user.workspace_id, admin.workspace_id, workspace_admin.workspace_id} == {user.workspace_id}


async def test_a_scope_of_an_admin_does_not_make_an_account(store, catalog, authenticator):
    workspace_id = catalog.snapshot.user_token().workspace_id
    async with store.change() as change:
        token = await change.create_token(workspace_id, "mine", ("ADMIN_USER",))

    principal = await authenticator.authenticate_fresh(authenticator.token_string(token))

    assert principal.is_admin
    assert not principal.is_account


async def test_before_the_first_load_there_are_no_built_in_tokens(watched):
    with pytest.raises(Unavailable):
        Authenticator(Catalog(watched, SystemClock()), SECRET).builtin_tokens()


@pytest.mark.parametrize("token", ["", "x", "p.a.b", "p." + "A" * 9000 + ".B", "eyJ.e30.x", "ü", "\udcff"])
async def test_a_made_up_token_is_refused_without_asking_the_database(authenticator, watched, token):
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(token)

    assert watched.checks == 0


async def test_a_token_signed_by_somebody_else_is_refused_whether_its_id_exists_or_not(authenticator, watched, app):
    for token_id in (app.id, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(Unauthenticated, match=r"^Invalid token$") as caught:
            await authenticator.authenticate_fresh(mint(b"t" * 32, app.workspace_id, token_id))

        assert type(caught.value) is Unauthenticated
    assert watched.checks == 0


async def test_made_up_tokens_leave_nothing_behind(authenticator, app):
    authenticator.authenticate(authenticator.token_string(app))

    for n in range(1000):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate_fresh(mint(b"t" * 32, app.workspace_id, str(n)))

    assert len(authenticator._principals) == 1
    assert len(authenticator._refused) == 0


async def test_a_token_made_on_another_worker_a_moment_ago_works(store, catalog, authenticator):
    workspace_id = catalog.snapshot.user_token().workspace_id
    async with store.change() as change:
        token = await change.create_token(workspace_id, "new", ("TOKENS",))
    string = authenticator.token_string(token)

    with pytest.raises(UnknownToken, match=r"^Invalid token$"):
        authenticator.authenticate(string)
    principal = await authenticator.authenticate_fresh(string)

    assert principal.token_id == token.id


async def test_a_dropped_token_stops_working(store, catalog, authenticator, app):
    string = authenticator.token_string(app)
    authenticator.authenticate(string)
    async with store.change() as change:
        await change.drop_token(app.id)
    await catalog.refresh()

    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(string)


async def test_the_tokens_of_a_dropped_workspace_stop_working(store, catalog, authenticator):
    async with store.change() as change:
        workspace = await change.create_workspace("acme")
    strings = [authenticator.token_string(token) for token in await store.list_tokens(workspace.id)]
    for string in strings:
        await authenticator.authenticate_fresh(string)
    async with store.change() as change:
        await change.drop_workspace(workspace.id)
    await catalog.refresh()

    for string in strings:
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate_fresh(string)


async def test_who_keeps_showing_a_dropped_token_does_not_reach_the_database(
    store, catalog, authenticator, watched, app
):
    string = authenticator.token_string(app)
    async with store.change() as change:
        await change.drop_token(app.id)
    await catalog.refresh()
    watched.checks = 0

    for _ in range(100):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate_fresh(string)

    assert watched.checks == 1


async def test_many_unknown_tokens_at_once_cost_one_check(authenticator, watched, app):
    strings = [mint(SECRET, app.workspace_id, str(n)) for n in range(300)]

    results = await asyncio.gather(*map(authenticator.authenticate_fresh, strings), return_exceptions=True)

    assert {type(result) for result in results} == {UnknownToken}
    assert watched.checks <= 2  # one under way when the last of them came does not count for it


async def test_what_is_remembered_is_bounded(authenticator, app, catalog, monkeypatch):
    monkeypatch.setattr(service, "PRINCIPALS_MAX", 2)
    monkeypatch.setattr(service, "_REFUSED_MAX", 2)

    for token in catalog.snapshot.tokens.values():
        authenticator.authenticate(authenticator.token_string(token))
    strings = [mint(SECRET, app.workspace_id, str(n)) for n in range(5)]
    await asyncio.gather(*map(authenticator.authenticate_fresh, strings), return_exceptions=True)

    assert len(authenticator._principals) <= 2
    assert len(authenticator._refused) <= 2


async def test_after_a_refresh_only_the_new_string_works(store, catalog, authenticator, watched, app):
    old = authenticator.token_string(app)
    authenticator.authenticate(old)
    async with store.change() as change:
        refreshed = await change.refresh_token(app.id)
    new = authenticator.token_string(refreshed)

    assert (await authenticator.authenticate_fresh(new)).token_id == app.id
    watched.checks = 0
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(old)

    assert watched.checks == 0


async def test_new_scopes_work_and_old_ones_do_not(store, catalog, authenticator, app):
    string = authenticator.token_string(app)
    authenticator.authenticate(string)
    async with store.change() as change:
        await change.update_token(app.id, scopes=("DATASOURCES:APPEND:t_2",))
    await catalog.refresh()

    principal = authenticator.authenticate(string)

    assert principal.allows(Action.DATASOURCE_APPEND, "t_2")
    assert not principal.allows(Action.DATASOURCE_APPEND, "t_1")


async def test_known_tokens_work_while_the_database_is_away(authenticator, watched, app):
    watched.is_down = True

    principal = await authenticator.authenticate_fresh(authenticator.token_string(app))

    assert principal.token_id == app.id


async def test_a_signed_token_nobody_can_look_up_now_is_not_called_invalid(authenticator, watched, app):
    watched.is_down = True

    with pytest.raises(Unavailable):
        await authenticator.authenticate_fresh(mint(SECRET, app.workspace_id, "new"))


class TestFixedAdminToken:
    FIXED = "operator's own: ünicode, any length"

    @pytest.fixture
    def authenticator(self, catalog):
        return Authenticator(catalog, SECRET, self.FIXED)

    async def test_it_is_the_admin_of_the_first_workspace(self, authenticator, catalog):
        principal = authenticator.authenticate(self.FIXED)

        assert principal.is_admin
        assert principal.token_name == "workspace admin token"
        assert principal.workspace_id == catalog.snapshot.user_token().workspace_id

    async def test_it_is_what_is_shown_for_that_token_only(self, authenticator, store, catalog):
        async with store.change() as change:
            workspace = await change.create_workspace("acme")
        await catalog.refresh()

        strings = {
            (token.workspace_id, token.name): authenticator.token_string(token)
            for token in [*await store.list_tokens(workspace.id), *catalog.snapshot.tokens.values()]
        }

        assert authenticator.builtin_tokens().workspace_admin_token == self.FIXED
        assert [name for (_, name), string in strings.items() if string == self.FIXED] == ["workspace admin token"]

    @pytest.mark.parametrize("token", ["operator", FIXED[:-1], FIXED + "x", FIXED.upper(), ""])
    async def test_what_resembles_it_is_refused(self, authenticator, token):
        with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
            await authenticator.authenticate_fresh(token)

    async def test_other_tokens_work_beside_it(self, authenticator, app):
        assert authenticator.authenticate(authenticator.token_string(app)).token_id == app.id
