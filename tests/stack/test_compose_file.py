"""docker-compose.yml, which nothing here can start whole: its schema, and everything in it that names something of ours.

`deploy/rehearse` runs it as processes; see test_rehearsal.py.
"""

import importlib.resources
import itertools
import re
import subprocess
from hashlib import sha256
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import jsonschema
import orjson
import pytest
import yaml

from deploy.rehearse.stack import ROOT, Stack, image_environment, seconds
from gateway.api.first import first_routes
from gateway.cli import _parser
from gateway.config import SPECS, file_variable, load, variable

STACK = Stack(ROOT / "docker-compose.yml")
SERVICES = STACK.services
OURS = [each for each in SERVICES.values() if each.is_ours]
CLUSTER = STACK.in_order("cluster")
DOCS = (ROOT / "docs" / "deploy.md").read_text()

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
each_of_ours = pytest.mark.parametrize("service", OURS, ids=[each.name for each in OURS])


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """The directory that deploy/secrets.sh makes."""
    directory = tmp_path_factory.mktemp("stack") / "secrets"
    make_secrets(directory)
    return directory


def make_secrets(directory):
    return subprocess.run(
        ["sh", ROOT / "deploy" / "secrets.sh", directory], check=True, capture_output=True, text=True
    ).stdout


def xml(*path):
    return ET.parse(ROOT.joinpath("deploy", "clickhouse", *path)).getroot()


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/compose.dev.yml", "deploy/compose.tls.yml"])
def test_a_compose_file_holds_to_the_published_schema(name):
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = orjson.loads(vendored.read_bytes())
    validator = jsonschema.validators.validator_for(schema)(schema)
    document = yaml.safe_load((ROOT / name).read_text())

    read = [document, STACK.document] if name == "docker-compose.yml" else [document]
    assert [error.message for each in read for error in validator.iter_errors(each)] == []
    broken = {**document, "services": {"x": {"image": "y", "retries": 3}}}
    assert list(validator.iter_errors(broken))  # it can say no


@each_service
def test_a_service_has_no_rights_that_it_does_not_need(service):
    of = service.of
    user, _, group = of["user"].partition(":")
    assert int(user) > 0
    assert group.isdecimal()
    assert of["read_only"] is True
    assert of["cap_drop"] == ["ALL"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(of)
    assert "no-new-privileges:true" in of["security_opt"]
    assert of["init"] is True
    assert not [mount for mount in service.mounts if "docker.sock" in mount.source]


@each_service
def test_a_service_has_bounds(service):
    limits = service.of["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert limits["pids"] > 0
    assert service.of["logging"]["options"].keys() == {"max-size", "max-file"}
    assert all("size=" in text for text in service.of.get("tmpfs", []))


@each_service
def test_a_service_says_whether_it_is_well_or_ends_by_itself(service):
    if "load" in service.profiles:
        assert (service.of["healthcheck"], service.of["restart"]) == ({"disable": True}, "no")
        return
    assert service.health
    assert service.of["restart"] == "unless-stopped"
    assert 10 <= service.health_seconds_max <= 200


@each_service
def test_an_image_has_a_version(service):
    if service.is_ours:
        assert service.image == "sluice:local"
        return
    name, _, tag = service.image.partition(":")
    assert name
    assert re.search(r"\d+\.\d+|^\d+-", tag), tag


@each_service
def test_what_a_service_mounts_is_there(service, secrets):
    for mount in service.mounts:
        if mount.kind == "bind" and mount.source.startswith("./deploy/secrets/"):
            assert (secrets / mount.source.rpartition("/")[2]).exists()
        elif mount.kind == "bind":
            assert (ROOT / mount.source).exists(), mount.source
            assert mount.read_only
        elif mount.kind == "volume":
            assert mount.source in STACK.document["volumes"]


def test_no_two_services_share_a_volume_and_each_volume_has_one():
    """Two gateways on one directory would be one node; the second would not start."""
    used = [mount.source for each in SERVICES.values() for mount in each.mounts if mount.kind == "volume"]

    assert sorted(used) == sorted(STACK.document["volumes"])


def test_every_secret_is_made_used_and_given_by_file(secrets):
    declared = STACK.secrets
    used = {name for each in SERVICES.values() for name in each.secrets}

    assert set(declared) == used
    assert {file.removeprefix("./deploy/secrets/") for file in declared.values()} <= {
        each.name for each in secrets.iterdir()
    }
    for service in SERVICES.values():
        named = set(re.findall(r"/run/secrets/([\w.]+)", " ".join(service.environment.values())))
        assert named <= set(service.secrets), service.name
        plain = [
            key for key in service.environment if re.search(r"PASSWORD|SECRET|TOKEN(?!S)", key) and "FILE" not in key
        ]
        assert plain == [], service.name


def test_ports_are_open_to_this_machine_only_unless_somebody_says_otherwise():
    published = [port for each in SERVICES.values() for port in each.of.get("ports", [])]

    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_variable_of_the_file_is_explained_and_no_other():
    tls = Stack(ROOT / "deploy" / "compose.tls.yml")
    found = {each.name: each.default for each in (*STACK.variables, *tls.variables)}
    explained = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]*?)`? \|", DOCS, re.MULTILINE))

    assert {name: default.removesuffix(" ") for name, default in explained.items()} == {
        name: default or "none" for name, default in found.items()
    }


def test_services_start_behind_those_that_they_wait_for():
    for profiles in ((), ("load",), ("cluster",), ("load", "cluster")):
        names = [each.name for each in STACK.in_order(*profiles)]
        order = ["postgres", "gateway-1", "proxy", "prometheus", "grafana"]
        assert [name for name in names if name in order] == order
        assert names.index("clickhouse") < names.index("gateway-1")
    names = [each.name for each in CLUSTER]
    assert names.index("keeper-3") < names.index("clickhouse") < names.index("gateway-1")
    assert names.index("clickhouse-2-2") < names.index("gateway-1")


@each_of_ours
def test_what_our_services_are_told_is_what_our_program_takes(service, secrets):
    given = image_environment(ROOT / "deploy" / "Dockerfile") | {
        name: value.replace("/run/secrets", str(secrets)) for name, value in service.environment.items()
    }
    known = {variable(name) for name in SPECS} | {file_variable(name) for name, spec in SPECS.items() if spec.secret}
    assert set(given) <= known

    settings = load({}, given).settings
    assert "@postgres:5432/sluice" in settings.database_url
    assert settings.clickhouse_password == (secrets / "clickhouse_password").read_text().strip()
    assert settings.clickhouse_read_user == "sluice_reader"
    assert str(settings.data_dir) in {mount.target for mount in service.mounts if mount.kind == "volume"}
    assert not settings.pin_workers or service.command != ["serve"]
    assert service.stop_seconds_max >= settings.shutdown_delay_seconds + settings.drain_seconds_max + 30
    options = _parser().parse_args(service.command)
    assert options.run.__name__ == {"gateway": "_serve", "worker": "_worker"}[service.name.partition("-")[0]]


@each_of_ours
def test_our_health_checks_ask_the_port_that_is_listened_on(service):
    program, *words = service.health
    assert program == "sluice"
    options = vars(_parser().parse_args(words))
    asked = options.get("port", "7181")
    assert asked == service.environment.get("SLUICE_WORKER_PORT", "7181")


def test_every_other_health_check_asks_for_a_path_that_is_there():
    paths = {
        "haproxy": re.findall(r"monitor-uri (\S+)", haproxy()),
        "clickhouse/clickhouse-server": ["/ping", xml("cluster", "keeper.xml").findtext(".//readiness/endpoint")],
        "prom/prometheus": ["/-/ready"],
        "grafana/grafana": ["/api/health"],
    }
    for service in SERVICES.values():
        if service.health[:1] == ["wget"]:
            assert re.sub(r"^http://127\.0\.0\.1:\d+", "", service.health[-1]) in paths[service.image.partition(":")[0]]
    assert SERVICES["postgres"].health[0] == "pg_isready"


def haproxy():
    return (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()


def test_the_proxy_knows_its_nodes_and_asks_for_a_route_that_is_served():
    text = haproxy()
    anything = SimpleNamespace(**dict.fromkeys(("post", "verify", "health", "ready", "metrics", "version", "tokens")))
    served = {route.path for route in first_routes(anything, anything, 1)}
    told = SERVICES["proxy"].environment

    assert set(told) <= set(re.findall(r"\$\{(\w+)", text))
    assert {value.partition(":")[0] for name, value in told.items() if "NODE" in name} == {
        each.name for each in OURS if each.command == ["serve"]
    }
    (asked,) = re.findall(r"http-check send .*uri (\S+)", text)
    assert asked in served
    timeout = seconds(re.findall(r"timeout server (\w+)", text)[0])
    settings = load({}, {}).settings
    assert timeout > max(settings.wait_seconds_max, settings.query_seconds_max) + settings.hold_seconds_max
    reply = re.findall(r"check inter (\w+) .*fall (\d+)", text)[0]
    assert seconds(reply[0]) * int(reply[1]) < seconds(OURS[0].environment["SLUICE_SHUTDOWN_DELAY_SECONDS"])


def test_prometheus_looks_where_something_listens():
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    asked = {
        target for job in config["scrape_configs"] for static in job["static_configs"] for target in static["targets"]
    }
    listening = {f"{each.name}:{each.environment.get('SLUICE_WORKER_PORT', '7181')}" for each in OURS}
    listening |= {f"clickhouse:{xml('server.xml').findtext('prometheus/port')}"}
    listening |= {"proxy:" + re.findall(r"SLUICE_PROXY_WATCH_BIND-:(\d+)", haproxy())[0], "prometheus:9090"}
    assert asked <= listening
    assert {f"{each.name}:7181" for each in OURS if each.command == ["serve"]} <= asked


# ClickHouse


@pytest.mark.parametrize(
    "service", [each for each in CLUSTER if "clickhouse-server" in each.image], ids=lambda each: each.name
)
def test_what_the_configuration_of_clickhouse_takes_from_outside_is_given(service, secrets):
    files = [mount.source for mount in service.mounts if mount.kind == "bind" and "secrets" not in mount.source]
    if service.name == "clickhouse":
        files = [each.replace("/single/", "/cluster/") for each in files]
    included = {each.tag for each in ET.parse(secrets / "clickhouse_cluster.xml").getroot()}
    for file in files:
        root = ET.parse(ROOT / file).getroot()
        assert root.tag == "clickhouse"
        assert {each.get("from_env") for each in root.iter()} - {None} <= set(service.environment)
        assert {each.get("incl") for each in root.iter()} - {None} <= included
        if (place := root.findtext("include_from")) is not None:
            assert place.removeprefix("/run/secrets/") in service.secrets


def test_the_cluster_is_two_shards_of_two_replicas_with_three_keepers_and_all_of_them_are_services():
    layout, keeper = xml("cluster", "layout.xml"), xml("cluster", "keeper.xml")
    shards = [
        [each.text for each in shard.iter("host")] for shard in layout.find("remote_servers/sluice").iter("shard")
    ]
    servers = [each for each in CLUSTER if each.name.startswith("clickhouse")]
    keepers = {each.name: each.environment["KEEPER_ID"] for each in CLUSTER if each.name.startswith("keeper")}
    raft = {each.findtext("hostname"): each.findtext("id") for each in keeper.iter("server")}

    assert [len(shard) for shard in shards] == [2, 2]
    assert {(str(at), name) for at, shard in enumerate(shards, 1) for name in shard} == {
        (each.environment["CLICKHOUSE_SHARD"], each.environment["CLICKHOUSE_REPLICA"]) for each in servers
    }
    assert all(each.of["hostname"] == each.environment["CLICKHOUSE_REPLICA"] == each.name for each in servers)
    assert raft == keepers
    assert keeper.findtext(
        "keeper_server/storage_path"
    )  # else a keeper takes its own files for another's when it restarts
    assert [each.text for each in layout.findall("zookeeper/node/host")] == list(keepers)
    assert {each.text for each in layout.findall("zookeeper/node/port")} == {keeper.findtext("keeper_server/tcp_port")}


def test_the_file_for_a_cluster_names_the_cluster_that_is_configured():
    told = dict(re.findall(r"^(\w+)=(\w+)$", (ROOT / "deploy" / "cluster.env").read_text(), re.MULTILINE))
    clustered = Stack(ROOT / "docker-compose.yml", told)

    assert set(told) <= {each.name for each in STACK.variables}
    assert {each.tag for each in xml("cluster", "layout.xml").find("remote_servers")} == {told["CLICKHOUSE_CLUSTER"]}
    assert xml("cluster", "layout.xml").findtext("macros/cluster") == told["CLICKHOUSE_CLUSTER"]
    for name in ("gateway-1", "gateway-2", "worker"):
        assert clustered.services[name].environment["SLUICE_CLICKHOUSE_CLUSTER"] == "sluice"
    mounted = [mount.source for mount in clustered.services["clickhouse"].mounts if "layout" in mount.target]
    assert mounted == ["./deploy/clickhouse/cluster/layout.xml"]


def test_the_reader_of_the_file_is_the_reader_of_the_statements():
    """deploy/clickhouse/reader.sql for a server of one's own, users.xml for this one: the same limits and grants."""
    sql = (ROOT / "deploy" / "clickhouse" / "reader.sql").read_text()
    profile = xml("users.xml").find("profiles/sluice_reader")
    clauses = re.search(r"SETTINGS PROFILE .* SETTINGS\n(.*?);", sql, re.DOTALL)[1]
    said = {}
    for name, value, rest in re.findall(r"^\s*(\w+)(?: = ([\d.]+))?([^,\n]*)", clauses, re.MULTILINE):
        bounds = dict(re.findall(r"(MIN|MAX) ([\d.]+)", rest))
        how = next((word for word in ("READONLY", "CHANGEABLE_IN_READONLY") if word in rest.split()), None)
        said[name] = (value, bounds.get("MIN"), bounds.get("MAX"), how)
    written = {}
    for constraint in profile.find("constraints"):
        flags = [word for word in ("readonly", "changeable_in_readonly") if constraint.find(word) is not None]
        how = flags[0].upper() if flags else None
        written[constraint.tag] = (
            profile.findtext(constraint.tag),
            constraint.findtext("min"),
            constraint.findtext("max"),
            how,
        )

    assert written == said
    granted = [each.text for each in xml("users.xml").findall("users/sluice_reader/grants/query")]
    assert granted == [
        each.removesuffix(" TO sluice_reader") for each in re.findall(r"^(GRANT .*);", sql, re.MULTILINE)
    ]


# Secrets


def test_secrets_are_made_once_and_nobody_else_has_them(tmp_path, secrets):
    mine = tmp_path / "mine"
    assert "made" in make_secrets(mine)
    before = {each.name: each.read_text() for each in mine.iterdir()}

    assert make_secrets(mine) == ""
    assert {each.name: each.read_text() for each in mine.iterdir()} == before
    for name, text in before.items():
        assert text != (secrets / name).read_text(), name
        assert mine.joinpath(name).stat().st_mode & 0o777 == 0o444
    assert mine.stat().st_mode & 0o777 == 0o700
    assert len(before["signing_secret"].strip()) >= 32


def test_what_is_made_of_secrets_follows_them(tmp_path):
    make_secrets(tmp_path)
    for name, text in (("postgres_password", "p"), ("clickhouse_read_password", "r")):
        (tmp_path / name).unlink()
        (tmp_path / name).write_text(text + "\n")

    make_secrets(tmp_path)

    assert (tmp_path / "database_url").read_text() == "postgresql://sluice:p@postgres:5432/sluice\n"
    users = ET.parse(tmp_path / "clickhouse_users.xml").getroot()
    assert users.findtext("users/sluice_reader/password_sha256_hex") == sha256(b"r").hexdigest()
    known = {each.tag for each in xml("users.xml").find("users") if each.get("remove") is None}
    assert {each.tag for each in users.find("users")} == known


def test_https_is_told_where_its_certificate_is():
    proxy = Stack(ROOT / "deploy" / "compose.tls.yml").services["proxy"]
    text = (ROOT / "deploy" / "haproxy" / "tls.cfg").read_text()

    assert set(proxy.environment) == set(re.findall(r"\$\{(\w+)", text))
    assert proxy.environment["SLUICE_PROXY_CERTIFICATE"].removeprefix("/run/secrets/") in proxy.secrets
    rules = [re.findall(r"^ +(http-request (?:del-header|deny) .*)$", each, re.MULTILINE) for each in (haproxy(), text)]
    assert rules[0] == rules[1]
    files = [word for word in proxy.command if word.endswith(".cfg")]
    assert all((ROOT / "deploy" / "haproxy" / each.rpartition("/")[2]).exists() for each in files)


def test_the_file_for_development_changes_services_that_there_are():
    """`docker compose` would make new ones of misspelt names."""
    text = (ROOT / "deploy" / "compose.dev.yml").read_text()
    development = yaml.safe_load(text)

    assert set(development["services"]) <= set(SERVICES)
    known = {variable(name) for name in SPECS}
    told = itertools.chain.from_iterable(each.get("environment", {}) for each in development["services"].values())
    assert set(told) <= known
    (package,) = set(re.findall(r"/opt/sluice/lib/(python[\d.]+)/", text))
    version = re.search(r"PYTHON_IMAGE=python:(\d+\.\d+)", (ROOT / "deploy" / "Dockerfile").read_text())[1]
    assert package == f"python{version}"
