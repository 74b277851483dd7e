"""JWTs: which are taken, what they turn into, and in which words the others are refused. Source: tokens.md §4."""

import pytest

from gateway.auth import Action, Authenticator, Kind, UnknownToken, jwt
from gateway.auth.service import JWTS_MAX, ForeignToken
from gateway.catalog import BuiltinToken, Catalog, CatalogStore
from gateway.core.clock import SystemClock
from gateway.core.errors import Unauthenticated
from tests.support.jwts import encoded, sign

SECRET = b"s" * 32
NOW = 1_800_000_000
READ = {"type": "PIPES:READ", "resource": "top"}


class Stopped(SystemClock):
    """Wall time that a test sets."""

    def __init__(self):
        self.moment = float(NOW)

    def now(self):
        return self.moment


@pytest.fixture
async def store(tmp_path):
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path}/catalog.db", SystemClock())
    yield store
    await store.aclose()


@pytest.fixture
async def catalog(store):
    catalog = Catalog(store, SystemClock())
    await catalog.start()
    return catalog


@pytest.fixture
def clock():
    return Stopped()


@pytest.fixture
def authenticator(catalog, clock):
    return Authenticator(catalog, SECRET, clock=clock)


@pytest.fixture
def key(authenticator):
    return authenticator.builtin_tokens().workspace_admin_token


@pytest.fixture
def claims(catalog):
    workspace_id = catalog.snapshot.user_token().workspace_id
    return {"workspace_id": workspace_id, "name": "user_991", "exp": NOW + 60, "scopes": [READ]}


def test_a_jwt_turns_into_its_principal(authenticator, key, claims):
    scopes = [
        {"type": "PIPES:READ", "resource": "top", "fixed_params": {"shop": 7, "tier": "gold"}},
        {"type": "DATASOURCES:READ", "resource": "t_1", "filter": "shop = 7"},
        {"type": "DATASOURCES:APPEND", "resource": "events"},
    ]

    found = authenticator.authenticate(sign(key, {**claims, "scopes": scopes, "limits": {"rps": 10}}))

    assert (found.kind, found.token_id, found.token_name) == (Kind.JWT, "", "user_991")
    assert (found.workspace_id, found.expires_at) == (claims["workspace_id"], NOW + 60)
    assert (found.is_admin, found.is_user, found.is_account) == (False, False, False)
    assert found.allows(Action.PIPE_READ, "id", "top")
    assert found.scopes.row_filters(Action.DATASOURCE_READ, "t_1", "sales") == ("shop = 7",)
    assert found.allows(Action.DATASOURCE_APPEND, "events")
    assert not found.allows(Action.DATASOURCE_APPEND, "t_1")
    assert found.fixed_params("id", "top") == {"shop": 7, "tier": "gold"}
    assert found.fixed_params("other") == {}
    assert (found.requests_per_second, found.bucket) == (10.0, (claims["workspace_id"], "user_991"))


@pytest.mark.parametrize(
    "header",
    [{}, {"typ": "JWT"}, {"alg": "HS256"}, {"alg": None}, {"alg": "HS256", "kid": "1", "typ": "at+jwt"}],
    ids=str,
)
def test_the_header_may_say_little_or_much(authenticator, key, claims, header):
    assert authenticator.authenticate(sign(key, claims, header)).kind is Kind.JWT


def test_what_the_claims_say_besides_is_ignored(authenticator, key, claims):
    extra = {**claims, "iat": NOW + 999, "nbf": NOW + 999, "aud": "x", "sub": 1, "limits": {"rps": 0, "tps": 1}}

    assert authenticator.authenticate(sign(key, extra)).requests_per_second is None


def test_28_scopes_and_more_are_fine_up_to_16_kilobytes(authenticator, key, claims):
    scopes = [
        {"type": "PIPES:READ", "resource": f"api_kpis_v{n}", "fixed_params": {"site_uuid": "a" * 36}} for n in range(90)
    ]
    token = sign(key, {**claims, "scopes": scopes})

    assert 8192 < len(token) <= jwt.JWT_CHARS_MAX
    assert authenticator.authenticate(token).fixed_params("api_kpis_v89") == {"site_uuid": "a" * 36}


@pytest.mark.parametrize("rps, allowed", [(0, None), (-1, None), (None, None), (0.5, 0.5), (10, 10.0), (10**400, 1e9)])
def test_a_limit_that_is_not_above_zero_is_none(authenticator, key, claims, rps, allowed):
    found = authenticator.authenticate(sign(key, {**claims, "limits": {"rps": rps}}))

    assert found.requests_per_second == allowed


def test_of_several_scopes_for_a_pipe_all_parameters_are_fixed_by_the_first_that_does(authenticator, key, claims):
    scopes = [{**READ, "fixed_params": fixed} for fixed in ({"a": 1}, {"a": 2, "b": 3}, {})]

    found = authenticator.authenticate(sign(key, {**claims, "scopes": scopes}))

    assert found.fixed_params("top") == {"a": 1, "b": 3}


def test_a_scope_that_no_jwt_can_have_grants_nothing_and_spoils_nothing(authenticator, key, claims):
    scopes = [{"type": "ADMIN", "resource": "x"}, {"type": "TOKENS", "resource": "x"}, READ]

    found = authenticator.authenticate(sign(key, {**claims, "scopes": scopes}))

    assert not found.is_admin
    assert not found.allows(Action.TOKENS)
    assert found.allows(Action.PIPE_READ, "top")


REFUSED = [
    ({"exp": None}, "exp"),
    ({"exp": "1893456000"}, "exp"),
    ({"exp": NOW + 60.5}, "exp"),
    ({"exp": True}, "exp"),
    ({"exp": 0}, "exp"),
    ({"exp": NOW}, "expired"),
    ({"exp": NOW - 1}, "expired"),
    ({"exp": (NOW + 60) * 1000}, "seconds"),
    ({"exp": 10**30}, "exp"),
    ({"name": None}, "name"),
    ({"name": " "}, "name"),
    ({"name": "n" * 600}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"scopes": None}, "scopes"),
    ({"scopes": {}}, "scopes"),
    ({"scopes": ["PIPES:READ:top"]}, "scopes"),
    ({"scopes": [{"type": "PIPES:READ"}]}, "resource"),
    ({"scopes": [{"type": "PIPES:READ", "resource": ""}]}, "resource"),
    ({"scopes": [{"type": "PIPES:READ", "resource": 7}]}, "resource"),
    ({"scopes": [{**READ, "fixed_params": ["a"]}]}, "fixed_params"),
    ({"scopes": [{**READ, "fixed_params": {str(n): n for n in range(101)}}]}, "100"),
    ({"scopes": [{"type": "DATASOURCES:READ", "resource": "a", "filter": 7}]}, "filter"),
    ({"scopes": [{"type": "DATASOURCES:READ", "resource": "a", "filter": "x" * 5000}]}, "4096"),
    ({"scopes": [{"type": "DATASOURCES:READ", "resource": "a", "fixed_params": {"b": 1}}]}, "fixed_params"),
    ({"scopes": [{"type": "DATASOURCES:APPEND", "resource": "a", "filter": "b = 1"}]}, "filter"),
    ({"scopes": [{"type": "P", "resource": "a"}] * 251}, "250"),
    ({"limits": {"rps": "10"}}, "rps"),
    ({"limits": 10}, "limits"),
]


@pytest.mark.parametrize("changed, word", REFUSED, ids=lambda value: str(value)[:60])
def test_a_claim_that_is_missing_or_wrong_is_named_to_who_can_sign(authenticator, key, claims, changed, word):
    token = sign(key, {name: value for name, value in {**claims, **changed}.items() if value is not None})

    with pytest.raises(Unauthenticated, match=f"^Invalid token: .*{word}"):
        authenticator.authenticate(token)


@pytest.mark.parametrize("missing", ["exp", "name", "scopes"])
def test_every_claim_is_needed(authenticator, key, claims, missing):
    del claims[missing]

    with pytest.raises(Unauthenticated, match=f"^Invalid token: .*{missing}"):
        authenticator.authenticate(sign(key, claims))


def test_a_token_stops_at_the_second_it_names_also_when_it_is_known(authenticator, clock, key, claims):
    token = sign(key, claims)

    clock.moment = NOW + 59.999
    assert authenticator.authenticate(token) is authenticator.authenticate(token)
    clock.moment = NOW + 60
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="it has expired"):
            authenticator.authenticate(token)


ALGORITHMS = ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "hs256", "", "HS256 "]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_header_that_asks_for_another_algorithm_is_refused(authenticator, key, claims, alg):
    for token in (sign(key, claims, {"alg": alg}), sign(key, claims, {"alg": alg}).rpartition(".")[0] + "."):
        with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
            authenticator.authenticate(token)


@pytest.mark.parametrize("digest", ["sha384", "sha512", "sha1", "md5"])
def test_only_sha256_opens_it_whatever_the_header_says(authenticator, key, claims, digest):
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        authenticator.authenticate(sign(key, claims, {}, digest))


def test_what_must_be_understood_and_is_not_is_refused(authenticator, key, claims):
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        authenticator.authenticate(sign(key, claims, {"alg": "HS256", "crit": ["b64"], "b64": False}))


@pytest.mark.parametrize("which", ["user_token", "admin_token", "nothing", "secret", "workspace_id"])
async def test_no_other_key_opens_it(authenticator, claims, which):
    strings = {
        "nothing": "",
        "secret": SECRET.decode(),
        "workspace_id": claims["workspace_id"],
    }
    key = strings.get(which) or getattr(authenticator.builtin_tokens(), which, "")

    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(sign(key, claims))


HEAD = encoded({"alg": "HS256"})


@pytest.mark.parametrize(
    "token",
    [
        f"{HEAD}.",
        f"{HEAD}..",
        f"{HEAD}.{encoded([])}.x",
        f"{HEAD}.{encoded({})}.x",
        f"{HEAD}.{encoded({'workspace_id': 7})}.x",
        f"{HEAD}.{encoded(b'{')}.x",
        f"{encoded(b'[]')}.{encoded({})}.x",
        f"{encoded({'alg': 7})}.{encoded({})}.x",
        f"{HEAD}.{encoded(b'[' * 5000)}.x",
        f"{HEAD}.{encoded({})}.x.y",
        f"{HEAD}.{encoded({})}.ü",
        f"{HEAD}.A.x",
        f"{HEAD}.{'A' * 20_000}.x",
    ],
)
async def test_what_is_no_jwt_is_refused_in_the_words_of_every_bad_token(authenticator, token):
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(token)


async def test_a_jwt_of_a_workspace_that_is_not_here_is_told_so(authenticator, key, claims):
    elsewhere = "5f3b0000-0000-4000-8000-000000000000"

    with pytest.raises(ForeignToken, match=f"^invalid authentication token. Workspace with ID {elsewhere} not found$"):
        await authenticator.authenticate_fresh(sign(key, {**claims, "workspace_id": elsewhere}))


async def test_a_jwt_of_one_workspace_does_not_open_another(authenticator, store, catalog, key, claims):
    async with store.change() as change:
        other = await change.create_workspace("acme")
    await catalog.refresh()

    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(sign(key, {**claims, "workspace_id": other.id}))


async def test_a_refreshed_admin_token_ends_all_jwts_and_its_new_string_signs_others(
    authenticator, store, catalog, key, claims
):
    old = sign(key, claims)
    authenticator.authenticate(old)
    admin = catalog.snapshot.builtin_token(claims["workspace_id"], BuiltinToken.WORKSPACE_ADMIN)
    async with store.change() as change:
        refreshed = await change.refresh_token(admin.id)
    new = sign(authenticator.token_string(refreshed), claims)

    with pytest.raises(UnknownToken):
        authenticator.authenticate(new)
    # This process has not heard of the new key: it looks once more before it refuses.
    assert (await authenticator.authenticate_fresh(new)).kind is Kind.JWT
    with pytest.raises(Unauthenticated, match=r"^Invalid token$"):
        await authenticator.authenticate_fresh(old)


async def test_a_jwt_of_a_workspace_made_elsewhere_a_moment_ago_works(authenticator, store, claims):
    async with store.change() as change:
        made = await change.create_workspace("acme")
    admin = await store.find_token(made.id, "workspace admin token")
    token = sign(authenticator.token_string(admin), {**claims, "workspace_id": made.id})

    assert (await authenticator.authenticate_fresh(token)).workspace_id == made.id


async def test_the_string_that_the_operator_chose_is_the_key(catalog, clock, claims):
    authenticator = Authenticator(catalog, SECRET, "the operator's ünicode", clock=clock)

    assert authenticator.authenticate(sign("the operator's ünicode", claims)).kind is Kind.JWT


async def test_what_is_remembered_of_jwts_is_bounded(authenticator, key, claims):
    for n in range(JWTS_MAX + 10):
        authenticator.authenticate(sign(key, {**claims, "name": f"user {n}"}))

    assert len(authenticator._jwts) == JWTS_MAX


def test_what_we_sign_is_what_we_take(authenticator, key, claims):
    minted = authenticator.mint_jwt(
        jwt.Claims(claims["workspace_id"], "user_991", NOW + 60, (jwt.ScopeClaim("PIPES:READ", "top"),))
    )

    assert minted.startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")
    assert minted == sign(key, claims)
    assert authenticator.authenticate(minted).token_name == "user_991"
