"""Tenants do not see each other: random tokens, routes and names of somebody else's things, all routes of the table.

Two promises are checked with every request that a tenant sends:

* what another tenant has, and what nobody has, are answered alike: same status, same body but for the name asked for;
* nothing of another tenant is in an answer, but what the request itself said.

`SLUICE_ISOLATION_CASES` says how many cases are drawn, `SLUICE_ISOLATION_SEED` which.
"""

import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from random import Random
from typing import Any, cast
from urllib.parse import quote, urlencode
from uuid import uuid4

import pytest

from gateway.api.first import first_routes
from gateway.api.routes import Apis, routes
from gateway.auth.token import mint
from gateway.catalog import CatalogStore, Token
from tests.support import jwts
from tests.support.gateway import Gateway, shared_gateway, show_gateway_log

__all__ = ["shared_gateway", "show_gateway_log"]

CASES = int(os.environ.get("SLUICE_ISOLATION_CASES", "2500"))
SEED = int(os.environ.get("SLUICE_ISOLATION_SEED", "1"))
CLIENTS = 24

# What an operator sees: it names every workspace, and is not for tenants (docs/operations.md).
OPERATORS = ("/metrics", "/tokens")
# Says how old things are: two answers differ.
UNSTEADY = ("/ready",)

SCHEMA = "id UInt32 `json:$.id`, text String `json:$.text`"

# What every tenant has, under the same names.
OWN = {"datasource": "events", "pipe": "top", "token": "app", "variable": "greeting"}

SCOPES = (
    "ADMIN",
    "TOKENS",
    "WORKSPACE:READ_ALL",
    "WORKSPACE:DEPLOY",
    "ORG_DATASOURCES:READ",
    "DATASOURCES:CREATE",
    "DATASOURCES:DROP",
    "DATASOURCES:APPEND:events",
    "DATASOURCES:READ:events",
    "DATASOURCES:READ:events:id = 1",
    "PIPES:CREATE",
    "PIPES:DROP",
    "PIPES:READ:top",
)
# What a scope may name, if whoever wrote it knows somebody else's ids.
REACHING = ("DATASOURCES:READ", "DATASOURCES:APPEND", "DATASOURCES:DROP", "PIPES:READ", "PIPES:DROP")
JWT_MAY = ("DATASOURCES:READ", "DATASOURCES:APPEND", "PIPES:READ")

# Requests that name things elsewhere than in the path: method, path, query, body. {X} is what is asked for.
ELSEWHERE: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("POST", "/v0/events", {"name": "{X}"}, '{{"id":1}}'),
    ("POST", "/v0/events", {"name": "{X}", "wait": "true"}, '{{"id":1}}'),
    ("POST", "/v0/datasources", {"mode": "append", "name": "{X}"}, ""),
    ("POST", "/v0/datasources", {"mode": "replace", "name": "{X}"}, ""),
    ("POST", "/v0/datasources/exchange", {"datasource_a": "events", "datasource_b": "{X}"}, ""),
    ("POST", "/v0/datasources/exchange", {"datasource_a": "{X}", "datasource_b": "{X}"}, ""),
    ("POST", "/v0/datasources/events/delete", {}, "delete_condition=id+IN+(SELECT+id+FROM+{X})"),
    ("POST", "/v0/tokens", {"name": "app", "scope": "DATASOURCES:READ:{X}"}, ""),
    ("POST", "/v0/tokens", {"name": "app", "scope": "PIPES:READ:{X}"}, ""),
    ("POST", "/v0/variables", {"name": "greeting", "value": "{X}"}, ""),
    ("POST", "/v1/workspaces", {"name": "{X}"}, ""),
    ("POST", "/v1/workspaces", {"name": "mine", "assign_to_organization_id": "{X}"}, ""),
    ("POST", "/v0/pipes", {"name": "top", "sql": "SELECT * FROM {X}"}, ""),
    ("POST", "/v0/pipes/top/nodes", {"name": "top"}, "SELECT * FROM {X}"),
    ("PUT", "/v0/pipes/top/endpoint", {}, "{X}"),
    ("GET", "/v0/pipes/top.json", {"q": "SELECT * FROM {X}"}, ""),
    ("GET", "/v0/pipes/top.json", {"text": "{X}", "pipeline": "{X}"}, ""),
    ("POST", "/v0/pipes/top.json", {}, '{{"text":"{X}"}}'),
    ("GET", "/v0/pipes/top/explain", {"q": "SELECT * FROM {X}"}, ""),
    ("GET", "/v0/sql", {"q": "SELECT * FROM _", "pipeline": "{X}"}, ""),
    ("GET", "/v0/sql", {"q": "SELECT 1", "explain": "true", "pipeline": "{X}"}, ""),
    ("GET", "/v0/pipes", {"dependencies": "true", "attrs": "{X}"}, ""),
    ("GET", "/v0/dependencies", {"datasource": "{X}", "match": "{X}"}, ""),
    ("GET", "/v0/jobs", {"pipe_id": "{X}"}, ""),
    ("GET", "/v0/jobs", {"pipe_name": "{X}"}, ""),
    ("GET", "/v0/jobs", {"kind": "import"}, ""),
    ("GET", "/v0/user/workspaces", {"name": "{X}", "with_members_and_owner": "true"}, ""),
    ("GET", "/v0/workspace", {"workspace_id": "{X}"}, ""),
    ("GET", "/v0/datasources", {"attrs": "id,name", "workspace": "{X}"}, ""),
    *(
        (method, "/v0/sql", {"q": sql}, "")
        for method in ("GET", "POST")
        for sql in (
            "SELECT * FROM {X}",
            "SELECT * FROM {X}_quarantine",
            "SELECT * FROM `{X}`.events",
            "SELECT * FROM {X}.service_audit_log",
            "SELECT * FROM events WHERE id IN (SELECT id FROM {X})",
            "SELECT * FROM events WHERE id IN {X}",
            "SELECT * FROM events JOIN {X} USING id",
            "WITH found AS (SELECT * FROM {X}) SELECT * FROM found",
            "SELECT * FROM merge('{X}', '.*')",
            "SELECT * FROM merge('ws_.*', '{X}')",
            "SELECT * FROM remote('127.0.0.1', '{X}', 'events')",
            "SELECT * FROM cluster('default', {X}, events)",
            "SELECT * FROM numbers(1) WHERE hasColumnInTable('{X}', '{X}', 'id')",
            "SELECT dictGet('{X}', 'id', 1)",
            "SELECT joinGet('{X}', 'id', 1)",
            "SELECT * FROM system.tables WHERE name = '{X}'",
            "SELECT * FROM information_schema.columns WHERE table_name = '{X}'",
            "SELECT * FROM tinybird.{X}",
            "SELECT * FROM tinybird.datasources_ops_log WHERE datasource_name = '{X}' OR datasource_id = '{X}'",
            "SELECT * FROM tinybird.jobs_log WHERE workspace_id != '{X}'",
            "SELECT * FROM organization.datasources_storage WHERE workspace_id = '{X}'",
            "SELECT * FROM top WHERE text = '{X}'",
            "SELECT currentDatabase(), '{X}'",
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Something of another tenant, and the same that nobody has."""

    kind: str
    foreign: str
    missing: str


@dataclass(slots=True)
class Tenant:
    """A workspace with everything in it; the names in it that no other has carry `mark`."""

    space: dict[str, Any]
    mark: str
    things: list[Asked] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    @property
    def token(self) -> str:
        return self.space["token"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A token of the asker, and what of it may stand in an answer."""

    string: str
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One question, put twice."""

    who: str
    tokens: tuple[Shown, Shown]  # with which the foreign thing is asked for, and the missing one
    method: str
    target: str
    body: str
    asked: Asked


class World:
    """Four tenants. The first two ask: one as its tokens let it, one with scopes that name what is others'."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.asker, self.reacher, *self.others = (self._tenant() for _ in range(4))
        self.things = [each for tenant in self.others for each in tenant.things]
        self.secrets = set().union(*(tenant.secrets for tenant in self.others))
        self.tokens = self._tokens()

    def _send(self, tenant: Tenant, method: str, path: str, body: bytes = b"", **params: str) -> dict[str, Any]:
        target = f"{path}?{urlencode(params)}" if params else path
        answer = self.gateway.request(method, target, body, token=tenant.token)
        assert answer.status in {200, 201, 204}, f"{method} {target}: {answer.text}"
        return answer.json if answer.body else {}

    def _tenant(self) -> Tenant:
        mark = f"zx{secrets.token_hex(5)}"
        made = Tenant(self.gateway.create_workspace(f"{mark}_space"), mark)
        for name in ("", f"{mark}_"):
            self._fill(made, name)
        space_id = made.space["id"]
        database = "ws_" + space_id.replace("-", "")[:12]
        for kind, foreign, missing in (
            ("workspace id", space_id, str(uuid4())),
            ("workspace", made.space["name"], f"zx{secrets.token_hex(5)}_space"),
            ("database", database, f"ws_{secrets.token_hex(6)}"),
        ):
            made.things.append(Asked(kind, foreign, missing))
        made.secrets |= {mark, space_id, database, f"{mark} row", f"{mark} value"}
        tokens = self._send(made, "GET", "/v0/tokens")["tokens"]
        secret = (self.gateway.data_dir / "secret").read_bytes().strip()
        for each in tokens:
            nobodys = mint(secret, space_id, str(uuid4()))
            made.things += [Asked("token id", each["id"], str(uuid4())), Asked("token string", each["token"], nobodys)]
            made.secrets |= {each["id"], each["token"], each["token"].rpartition(".")[2]}
        return made

    def _fill(self, tenant: Tenant, prefix: str) -> None:
        """Make one of everything; with an empty prefix under the names all tenants use."""
        names = {kind: prefix + name for kind, name in OWN.items()}
        datasource = names["datasource"]
        rows = b"\n".join(
            json.dumps({"id": number, "text": f"{tenant.mark} row {number}"}).encode() for number in range(3)
        )
        made = self._send(tenant, "POST", "/v0/datasources", name=datasource, schema=SCHEMA)["datasource"]
        self._send(tenant, "POST", "/v0/events", rows + b'\n{"id": "no"}', name=datasource, wait="true")
        job = self._send(tenant, "POST", f"/v1/datasources/{datasource}/append", rows, format="ndjson")
        pipe = self._send(tenant, "POST", "/v0/pipes", name=names["pipe"], sql=f"SELECT * FROM {datasource}")
        node = pipe["nodes"][0]["id"]
        self._send(tenant, "POST", f"/v0/pipes/{names['pipe']}/nodes/{node}/endpoint")
        self._send(tenant, "POST", "/v0/tokens", name=names["token"], scope=f"DATASOURCES:READ:{datasource}")
        self._send(tenant, "POST", "/v0/variables", name=names["variable"], value=f"{tenant.mark} value")
        ids = [
            Asked("datasource id", made["id"], f"t_{secrets.token_hex(16)}"),
            Asked("pipe id", pipe["id"], f"t_{secrets.token_hex(16)}"),
            Asked("node id", node, f"t_{secrets.token_hex(16)}"),
            Asked("job id", job["id"], str(uuid4())),
        ]
        tenant.things += ids
        tenant.secrets |= {each.foreign for each in ids}
        if prefix:
            tenant.things += [
                Asked(kind, name, f"zx{secrets.token_hex(5)}_{OWN[kind]}") for kind, name in names.items()
            ]

    def _tokens(self) -> list[tuple[str, tuple[Shown, Shown]]]:
        """Tokens of the asker: what each may do, and the strings to ask for a foreign and for a missing thing with."""

        async def make(store: CatalogStore, _: str) -> list[Token]:
            async with store.change() as change:
                return [
                    await change.create_token(tenant.space["id"], f"token {number}", (scope,))
                    for number, (tenant, scope) in enumerate(wanted)
                ]

        snapshot = {
            each["name"]: each["id"] for each in self._send(self.asker, "GET", "/v0/datasources")["datasources"]
        }
        plain = [scope.replace(":events", f":{snapshot['events']}") for scope in SCOPES]
        named = [each for each in self.things if each.kind in ("datasource", "pipe", "datasource id", "pipe id")]
        reaching = [(f"{scope}:{each.foreign}", f"{scope}:{each.missing}") for scope in REACHING for each in named]
        wanted = [(self.asker, scope) for scope in plain]
        wanted += [(self.reacher, scope) for pair in reaching for scope in pair]
        secret = (self.gateway.data_dir / "secret").read_bytes().strip()
        shown = []
        for (_, scope), made in zip(wanted, self.gateway.in_catalog(make), strict=True):
            string = mint(secret, made.workspace_id, made.id)
            shown.append(Shown(string, (string, made.id, f'"{made.name}"', scope.rpartition(":")[2])))
        key = self.key(self.reacher)
        for scope in (each for pair in reaching if pair[0].startswith(JWT_MAY) for each in pair):
            kind, _, name = scope.rpartition(":")
            asked = jwts.claims(self.reacher.space["id"], {"type": kind, "resource": name})
            shown.append(Shown(jwts.sign(key, asked), (name,)))
        reaching += [pair for pair in reaching if pair[0].startswith(JWT_MAY)]
        pairs = zip(shown[len(plain) :: 2], shown[len(plain) + 1 :: 2], strict=True)
        return [
            *((scope, (Shown(each.string), Shown(each.string))) for scope, each in zip(SCOPES, shown, strict=False)),
            *((one, both) for (one, _), both in zip(reaching, pairs, strict=True)),
            ("nobody", (Shown(""), Shown(""))),
        ]

    def key(self, tenant: Tenant) -> str:
        """What a tenant signs its JWTs with."""
        tokens = self._send(tenant, "GET", "/v0/tokens")["tokens"]
        return next(each["token"] for each in tokens if each["name"] == "workspace admin token")


@pytest.fixture(scope="module")
def world(gateway: Gateway) -> World:
    return World(gateway)


class _Anything:
    """Stands for every handler: here only the table's paths matter."""

    def __getattr__(self, _name: str) -> "_Anything":
        return self

    def __call__(self, *_arguments: object) -> "_Anything":
        return self


def table() -> list[tuple[str, str]]:
    """Method and path of every route."""
    whole = [*first_routes(cast(Any, _Anything()), cast(Any, _Anything()), 1), *routes(cast(Apis, _Anything()))]
    return [(each.method, each.path) for each in whole if each.path not in OPERATORS]


def cases(world: World, count: int, random: Random) -> Iterator[Case]:
    """Every route and every way of `ELSEWHERE` at least once, then at random."""
    ways: list[Callable[[str], tuple[str, str, str]]] = []
    for method, path in table():
        names = re.findall(r"\{\w+\}", path)
        ways += [_in_path(method, path, first) for first in range(max(1, len(names)))]
    ways += [_elsewhere(*each) for each in ELSEWHERE]
    for number in range(max(count, len(ways))):
        way = ways[number] if number < len(ways) else random.choice(ways)
        who, tokens = random.choice(world.tokens)
        method, target, body = way("{X}")
        # In a query an id with `-` is an expression, and which one depends on its digits.
        is_name = "SELECT" in target + body
        things = [each for each in world.things if not is_name or each.foreign.isidentifier()]
        asked = random.choice(things)
        if who.startswith(REACHING) and random.random() < 0.7:
            asked = next((each for each in things if who.endswith(f":{each.foreign}")), asked)
        yield Case(who, tokens, method, target, body, asked)


def _in_path(method: str, path: str, first: int) -> Callable[[str], tuple[str, str, str]]:
    """What is asked for is what the path names, from its `first` name on; those before it are the asker's own."""
    names = iter(["top"] * first)
    target = re.sub(r"\{\w+\}", lambda _: next(names, "{X}"), path)
    return lambda _: (method, target, "")


def _elsewhere(method: str, path: str, query: dict[str, str], body: str) -> Callable[[str], tuple[str, str, str]]:
    # Braces of the templates stay readable: they are put in after the query is encoded.
    target = f"{path}?{urlencode(query)}".replace(quote("{X}"), "{X}") if query else path
    return lambda _: (method, target, body.replace("{{", "{").replace("}}", "}"))


class Client:
    """A connection for each thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mine = threading.local()
        self._all: list[HTTPConnection] = []

    def send(self, method: str, target: str, body: str, token: str) -> tuple[int, str]:
        connection: HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
            self._all.append(connection)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, target, body.encode() or None, headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")

    def close(self) -> None:
        for each in self._all:
            each.close()


def judge(case: Case, world: World, client: Client) -> str:
    """Ask twice; return what is wrong, "" if nothing is."""
    answers = []
    for name, token in zip((case.asked.foreign, case.asked.missing), case.tokens, strict=True):
        target, body = case.target.replace("{X}", quote(name, safe="")), case.body.replace("{X}", name)
        status, text = client.send(case.method, target, body, token.string)
        said = " ".join([target, body, name, *token.own])
        leaked = sorted(each for each in world.secrets if each in text and each not in said)
        if status >= 500 or leaked:
            return f"{case.who}: {case.method} {target} {body}\n  {status} {text[:500]}\n  of others: {leaked}"
        answers.append((status, _comparable(text, name, name[:100], *token.own)))
    if case.target not in UNSTEADY and answers[0] != answers[1]:
        return f"{case.who}: {case.method} {case.target} {case.body} for {case.asked}\n  {answers[0]}\n  {answers[1]}"
    return ""


def _comparable(text: str, *asked: str) -> str:
    """Without what was asked for, and what differs from answer to answer for everybody."""
    for each in asked:
        text = text.replace(each, "<X>")
    text = re.sub(r'"(elapsed|bytes_read|rows_read)": ?[\d.e-]+', r'"\1": 0', text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "<time>", text)


def test_what_is_anothers_looks_like_what_is_not_there_and_nothing_of_it_is_seen(world, capsys):
    drawn = list(cases(world, CASES, Random(SEED)))
    client = Client(world.gateway.port)

    with closing(client), ThreadPoolExecutor(CLIENTS) as pool:
        wrong = list(filter(None, pool.map(lambda case: judge(case, world, client), drawn)))

    with capsys.disabled():
        print(f"\ntenant isolation: {len(drawn)} cases, {2 * len(drawn)} requests, seed {SEED}: {len(wrong)} wrong")
    assert not wrong, f"{len(wrong)} of {len(drawn)} cases, seed {SEED}:\n" + "\n".join(wrong[:10])
    assert {(case.method, case.target.partition("?")[0].replace("{X}", "")) for case in drawn} >= {
        (method, re.sub(r"\{\w+\}", "", path)) for method, path in table()
    }, "a route was not asked"


def test_a_jwt_is_good_in_the_workspace_whose_key_signed_it_and_nowhere_else(world):
    victim, asker = world.others[0], world.asker
    read = {"type": "DATASOURCES:READ", "resource": "events"}
    theirs, mine = (each.space["id"] for each in (victim, asker))

    def ask(key: str, workspace_id: str) -> tuple[int, str]:
        token = jwts.sign(key, jwts.claims(workspace_id, read))
        answer = world.gateway.get("/v0/sql", token=token, q="SELECT DISTINCT text FROM events FORMAT TSV")
        return answer.status, answer.text

    assert ask(world.key(victim), theirs)[1].startswith(f"{victim.mark} row")
    assert ask(world.key(asker), mine)[1].startswith(f"{asker.mark} row")
    refused = {ask(world.key(asker), theirs), ask(world.key(victim), mine), ask("nobody's", theirs)}
    assert refused == {(403, '{"error":"Invalid token"}')}
    # Of an id that is no workspace's that is said, in words that clients look for; nobody guesses one that is.
    assert ask(world.key(asker), str(uuid4()))[0] == 403


def test_after_all_that_every_tenant_has_what_it_had(world):
    """Whatever was asked, by whomever: others' things are as they were."""
    for tenant in world.others:
        token = tenant.token
        shown = world.gateway.get("/v0/datasources", token=token).json["datasources"]
        assert {each["name"] for each in shown} == {"events", f"{tenant.mark}_events"}
        for name in ("events", f"{tenant.mark}_events"):
            rows = world.gateway.sql(f"SELECT DISTINCT text FROM {name} ORDER BY text", token=token)
            assert [row["text"] for row in rows] == [f"{tenant.mark} row {number}" for number in range(3)]
        assert len(world.gateway.get("/v0/pipes", token=token).json["pipes"]) == 2
        assert len(world.gateway.get("/v0/variables", token=token).json["variables"]) == 2
