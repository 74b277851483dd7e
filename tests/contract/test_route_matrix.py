"""Every route × every kind of token × a resource of one's own, of another workspace, and none: who gets in where.

The routes are those of the table the gateway serves. Who may do what is written down here once more, from tokens.md §2 and
common.md §2, so that a mistake in the code's own table shows. For every token and every route, an answer about somebody
else's resource is the answer about one that does not exist, but for its name.

UPDATE_DOCS=1 writes the matrix to docs/access.md.
"""

import itertools
import os
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.api.first import first_routes
from gateway.api.routes import routes
from gateway.auth.access import Access
from gateway.auth.scopes import Action
from tests.support.jwts import claims, sign

DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"
BEGIN, END = "<!-- begin -->\n", "<!-- end -->\n"
RESOURCES = ("own", "foreign", "missing")


class Anything:
    """Stands for every handler: the table is looked at, not used."""

    def __getattr__(self, _):
        return self

    def __call__(self, *_):
        return self


TABLE = [*first_routes(Anything(), Anything(), 0), *routes(Anything())]


# What a token may do: everywhere in its workspace, or with its own resource. From the documents, not from the code.
A = Action
ALL_DATASOURCES = {
    A.DATASOURCE_CREATE,
    A.DATASOURCE_APPEND,
    A.DATASOURCE_REPLACE,
    A.DATASOURCE_TRUNCATE,
    A.DATASOURCE_ALTER,
    A.DATASOURCE_LIST,
}
EVERYTHING = set(Action) - {A.ORGANIZATION_READ}


@dataclass
class Kind:
    """A kind of token."""

    scopes: tuple[str, ...] = ()
    everywhere: set[Action] = field(default_factory=set)
    own: set[Action] = field(default_factory=set)
    is_jwt: bool = False
    is_valid: bool = True
    is_foreign: bool = False  # of the other workspace
    is_account: bool = False
    string: str = ""

    def may(self, need, jwt) -> set[str] | None:
        """Return which resources it may use this route with; None if it does not get in at all."""
        if need is Access.PUBLIC or (need is Access.ANYBODY):
            return set(RESOURCES)
        if not self.is_valid or (self.is_jwt and not jwt):
            return None
        if need is Access.VALID:
            return set(RESOURCES)
        if need is Access.ACCOUNT:
            return set(RESOURCES) if self.is_account else None
        if need in self.everywhere:
            return set(RESOURCES)
        return {"own"} if need in self.own else None


KINDS = {
    "workspace admin": Kind(everywhere=EVERYTHING),
    "user's admin": Kind(everywhere=EVERYTHING, is_account=True),
    "user": Kind(everywhere=EVERYTHING, is_account=True),
    "TOKENS": Kind(("TOKENS",), {A.TOKENS}),
    "WORKSPACE:READ_ALL": Kind(
        ("WORKSPACE:READ_ALL",), {A.DATASOURCE_READ, A.DATASOURCE_LIST, A.PIPE_READ, A.PIPE_LIST, A.SERVICE_READ}
    ),
    "WORKSPACE:DEPLOY": Kind(("WORKSPACE:DEPLOY",), {A.DEPLOY}),
    "ORG_DATASOURCES:READ": Kind(("ORG_DATASOURCES:READ",), {A.ORGANIZATION_READ}),
    "DATASOURCES:CREATE": Kind(("DATASOURCES:CREATE",), ALL_DATASOURCES),
    "DATASOURCES:DROP": Kind(("DATASOURCES:DROP",), {A.DATASOURCE_DROP}),
    "DATASOURCES:APPEND:one": Kind(("DATASOURCES:APPEND:{ds}",), own={A.DATASOURCE_APPEND, A.DATASOURCE_LIST}),
    "DATASOURCES:READ:one": Kind(("DATASOURCES:READ:{ds}",), own={A.DATASOURCE_READ, A.DATASOURCE_LIST}),
    "DATASOURCES:READ:one:filter": Kind(("DATASOURCES:READ:{ds}:n = 1",), own={A.DATASOURCE_READ, A.DATASOURCE_LIST}),
    "DATASOURCES:DROP:one": Kind(("DATASOURCES:DROP:{ds}",), own={A.DATASOURCE_DROP}),
    "PIPES:CREATE": Kind(("PIPES:CREATE",), {A.PIPE_CREATE, A.PIPE_ALTER, A.PIPE_LIST}),
    "PIPES:DROP": Kind(("PIPES:DROP",), {A.PIPE_DROP}),
    "PIPES:READ:one": Kind(("PIPES:READ:{pipe}",), own={A.PIPE_READ, A.PIPE_LIST}),
    "PIPES:DROP:one": Kind(("PIPES:DROP:{pipe}",), own={A.PIPE_DROP}),
    "JWT that reads a data source": Kind(is_jwt=True, own={A.DATASOURCE_READ, A.DATASOURCE_LIST}),
    "JWT that appends": Kind(is_jwt=True, own={A.DATASOURCE_APPEND, A.DATASOURCE_LIST}),
    "JWT that reads a pipe": Kind(is_jwt=True, own={A.PIPE_READ, A.PIPE_LIST}),
    "admin of another workspace": Kind(everywhere=EVERYTHING, is_foreign=True),
    "none": Kind(is_valid=False),
    "forged": Kind(is_valid=False),
    "truncated": Kind(is_valid=False),
    "expired JWT": Kind(is_valid=False, is_jwt=True),
}

# Those that end what they are about: each time they may, they get one of their own to end.
ENDING = {
    ("DELETE", "/v0/datasources/{name}"): "ds",
    ("DELETE", "/v0/pipes/{name}"): "pipe",
    ("DELETE", "/v0/pipes/{name}/nodes/{node}"): "pipe",
    ("DELETE", "/v0/pipes/{name}/nodes/{node}/endpoint"): "pipe",
    ("DELETE", "/v0/tokens/{which}"): "token",
    ("DELETE", "/v0/variables/{name}"): "variable",
    ("DELETE", "/v0/workspaces/{which}"): "workspace",
    ("DELETE", "/v1/workspaces/{which}"): "workspace",
}
# Also a principal that may everything is answered 404, or 403, for its own: there is no such thing, or not for now.
ODD = {
    ("POST", "/v0/datasources/{name}"): {404},  # serves one name, `exchange`
    ("GET", "/v0/environments/{which}"): {404},
    ("GET", "/v1/environments/{which}"): {404},
    ("DELETE", "/v0/tags/{name}"): {404},  # nothing has it
}
# Says what is in rows: not to who only appends, and not of some of them.
NOT_ALL = {
    ("/v0/datasources/{name}/quarantine", "DATASOURCES:READ:one:filter"),
    ("/v0/datasources/{name}/quarantine", "DATASOURCES:APPEND:one"),
}


class World:
    """Two workspaces with one of everything in each."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.numbers = itertools.count(1)
        self.local = threading.local()
        made = gateway.request("POST", "/v1/workspaces?name=matrix_other", token=gateway.tokens["user_token"])
        assert made.status == 200, made.text
        tokens = gateway.get("/v0/tokens", token=made.json["token"]).json["tokens"]
        self.other = next(each["token"] for each in tokens if each["name"] == "workspace admin token")
        self.own = self.make(gateway.token, "matrix_own")
        self.foreign = self.make(self.other, "matrix_foreign")
        self.missing = {
            "ds": "matrix_missing",
            "pipe": "matrix_missing_p",
            "node": "matrix_missing_n",
            "token": "matrix_missing_t",
            "variable": "matrix_missing_v",
            "job": "00000000-0000-4000-8000-000000000000",
            "workspace": "matrix_missing_w",
        }
        self.own["workspace"] = gateway.get("/v1/workspace").json["name"]
        self.foreign["workspace"] = "matrix_other"
        for name, kind in KINDS.items():
            kind.string = self.string_of(name, kind)

    def make(self, token, name):
        """Make one of everything in the workspace of `token`; return their names by kind."""
        post = self.gateway.post
        params = {"name": name, "schema": "n UInt8 `json:$.n`"}
        for answer in (
            post("/v0/datasources", token=token, **params),
            post("/v0/pipes", token=token, name=f"{name}_p", sql=f"SELECT n FROM {name}"),
            post(f"/v0/pipes/{name}_p/nodes/{name}_p_0/endpoint", token=token),
            post("/v0/tokens", token=token, name=f"{name}_t", scope="TOKENS"),
            post("/v0/variables", b"value=secret-of-the-matrix", token=token, name=f"{name}_v"),
        ):
            assert answer.status == 200, answer.text
        job = post(f"/v0/datasources/{name}/delete", b"delete_condition=n%3D1", token=token)
        assert job.status in {200, 201}, job.text
        return {
            "ds": name,
            "pipe": f"{name}_p",
            "node": f"{name}_p_0",
            "token": f"{name}_t",
            "variable": f"{name}_v",
            "job": job.json["id"],
        }

    def string_of(self, name, kind):
        tokens = self.gateway.tokens
        workspace = self.gateway.get("/v1/workspace").json["id"]

        def jwt(*scopes, seconds=600):
            return sign(self.gateway.token, claims(workspace, *scopes, seconds=seconds))

        special = {
            "workspace admin": tokens["workspace_admin_token"],
            "user's admin": tokens["admin_token"],
            "user": tokens["user_token"],
            "JWT that reads a data source": jwt({"type": "DATASOURCES:READ", "resource": self.own["ds"]}),
            "JWT that appends": jwt({"type": "DATASOURCES:APPEND", "resource": self.own["ds"]}),
            "JWT that reads a pipe": jwt({"type": "PIPES:READ", "resource": self.own["pipe"]}),
            "admin of another workspace": self.other,
            "none": "",
            "forged": self.gateway.token[:-4] + "AAAA",
            "truncated": self.gateway.token[:-1],
            "expired JWT": jwt({"type": "DATASOURCES:READ", "resource": self.own["ds"]}, seconds=-600),
        }
        if name in special:
            return special[name]
        return self.make_token(kind.scopes, self.own)

    def make_token(self, scopes, resources):
        params = "&".join(f"scope={quote(scope.format(**resources))}" for scope in scopes)
        answer = self.gateway.request("POST", f"/v0/tokens?name=matrix_{next(self.numbers)}&{params}")
        assert answer.status == 200, answer.text
        return answer.json["token"]

    def fresh(self, kind):
        """Make one of everything, to be ended by a token of `kind`; return the token and the names."""
        if kind.is_foreign:
            return kind.string, self.foreign
        names = dict(self.own, **self.make(self.gateway.token, f"matrix_fresh_{next(self.numbers)}"))
        name = f"matrix_w_{next(self.numbers)}"
        assert self.gateway.request("POST", f"/v1/workspaces?name={name}", token=KINDS["user"].string).status == 200
        names["workspace"] = name
        return (self.make_token(kind.scopes, names) if kind.own else kind.string), names

    def ask(self, route, kind, which):
        """Ask `route` for a resource as a token of `kind`; return status and body, names of resources taken out."""
        names = {"own": self.own, "foreign": self.foreign, "missing": self.missing}[which]
        token = kind.string
        may = kind.may(route.scope, route.jwt)
        if which == "own" and (route.method, route.path) in ENDING and may and not kind.is_foreign:
            token, names = self.fresh(kind)
        path = re.sub(r"\{(\w+)\}", lambda found: quote(names[_resource(route.path, found[1])]), route.path)
        answer = self.request(route.method, path, token, names, route.path)
        body = answer.body.decode(errors="replace")
        for name in sorted(names.values(), key=len, reverse=True):
            body = body.replace(name, "…")
        return answer.status, body

    def request(self, method, path, token, names, route):
        query = ""
        if route == "/v0/events":
            query = f"?name={names['ds']}"
        elif route == "/v0/sql":
            query = f"?q=SELECT+count()+FROM+{names['ds']}"
        return self.gateway.request(method, path + query, headers={"Content-Length": "0"}, token=token)


def _resource(path, capture):
    if capture == "part":
        return "ds"
    family = path.split("/")[2]
    kinds = {"datasources": "ds", "pipes": "node" if capture == "node" else "pipe", "tokens": "token"}
    return kinds.get(family) or {"variables": "variable", "jobs": "job"}.get(family, "workspace")


@pytest.fixture(scope="module")
def answers(gateway):
    """Every answer, by route, kind of token and resource."""
    world = World(gateway)
    cases = [
        (route, name, which)
        for route in TABLE
        for name in KINDS
        for which in (RESOURCES if _has_resource(route) else ("own",))
        if not (KINDS[name].is_account and which == "foreign" and ENDING.get((route.method, route.path)) == "workspace")
    ]
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(cases, pool.map(lambda case: world.ask(case[0], KINDS[case[1]], case[2]), cases), strict=True))
    gateway.request(
        "DELETE", "/v1/workspaces/matrix_other?hard_delete_confirmation=yes", token=gateway.tokens["user_token"]
    )
    return found


def _has_resource(route):
    return "{" in route.path or route.path in {"/v0/events", "/v0/sql"}


def test_the_matrix_is_whole(answers):
    statuses = Counter(status for status, _ in answers.values())
    print(f"{len(TABLE)} routes, {len(KINDS)} kinds of token, {len(answers)} cases: {dict(sorted(statuses.items()))}")

    assert len(answers) > 3000
    assert not [case for case, (status, _) in answers.items() if status >= 500]


def test_who_may_not_gets_in_nowhere(answers):
    wrong = [
        (route.method, route.path, name, which, status, body)
        for (route, name, which), (status, body) in answers.items()
        if KINDS[name].may(route.scope, route.jwt) is None and status != 403
    ]
    assert "\n".join(map(str, wrong)) == ""


def test_who_is_unknown_learns_nothing(answers):
    bodies = {
        body
        for (route, name, _), (_, body) in answers.items()
        if not KINDS[name].is_valid and route.scope not in (Access.PUBLIC, Access.ANYBODY)
    }
    assert len(bodies) <= 2, bodies  # one sentence for what is no token, one for what ended


def test_who_may_gets_in(answers):
    wrong = [
        (route.method, route.path, name, status, body)
        for (route, name, which), (status, body) in answers.items()
        if which == "own"
        and "own" in (KINDS[name].may(route.scope, route.jwt) or ())
        and not KINDS[name].is_foreign
        and isinstance(route.scope, Action)
        and (route.path, name) not in NOT_ALL
        and status in ({403, 404} - ODD.get((route.method, route.path), set()))
    ]
    assert "\n".join(map(str, wrong)) == ""


def test_the_resource_of_somebody_else_is_one_that_does_not_exist(answers):
    differing = [
        (route.method, route.path, name, answers[route, name, "foreign"], answers[route, name, "missing"])
        for (route, name, which) in answers
        if which == "missing"
        and (route, name, "foreign") in answers
        and answers[route, name, "foreign"] != answers[route, name, "missing"]
        and not KINDS[name].is_foreign
        and not (KINDS[name].is_account and _resource(route.path, "which") == "workspace")  # it has all of them
    ]
    assert "\n".join(map(str, differing)) == ""


def test_to_another_workspace_ours_is_one_that_does_not_exist(answers):
    name = "admin of another workspace"
    differing = [
        (route.method, route.path, answers[route, name, "own"], answers[route, name, "missing"])
        for (route, kind, which) in answers
        if kind == name and which == "missing" and answers[route, name, "own"] != answers[route, name, "missing"]
    ]
    assert "\n".join(map(str, differing)) == ""


def test_nobody_is_given_what_is_not_theirs(answers):
    given = [
        (route.method, route.path, name, status)
        for (route, name, which), (status, _) in answers.items()
        if which in ("foreign", "missing")
        and status < 300
        and not KINDS[name].is_foreign
        and route.scope not in (Access.PUBLIC, Access.ANYBODY)
        and not (KINDS[name].is_account and _resource(route.path, "which") == "workspace")
        and (route.method, route.path) != ("GET", "/v0/events")
    ]
    assert "\n".join(map(str, given)) == ""


def test_the_document_says_what_the_gateway_does():
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(before + BEGIN + _document() + END + after)
    else:
        assert old == _document(), "UPDATE_DOCS=1 python -m pytest tests/contract/test_route_matrix.py"


def _document():
    lines = ["| method and path | needs | JWT | kinds of token that get in |", "|---|---|---|---|"]
    kinds = {name: kind for name, kind in KINDS.items() if kind.is_valid and not kind.is_foreign}
    for route in TABLE:
        inside = [name for name, kind in kinds.items() if kind.may(route.scope, route.jwt)]
        outside = [name for name in kinds if name not in inside]
        shown = "everybody" if not outside else ", ".join(inside)
        if len(outside) < 4 and outside:
            shown = "all but " + ", ".join(outside)
        lines.append(f"| `{route.method} {route.path}` | {route.scope} | {'yes' if route.jwt else 'no'} | {shown} |")
    return "\n".join([*lines, ""])
