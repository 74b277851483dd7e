"""The files of deploy/kubernetes: valid by the published schemas, and true of the program they run.

Where `kubectl` is, the overlays are also put together as `kubectl apply -k` does it. UPDATE_DOCS=1 makes the alert rules
anew from those of Prometheus.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from gateway.cli import main
from gateway.config import load
from gateway.config.settings import DEFAULTS
from gateway.core.units import parse_size
from gateway.telemetry import metrics

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "kubernetes"
VERSION = "1.34.0"

KUSTOMIZATIONS = sorted(HERE.rglob("kustomization.yaml"))
# Kinds of operators, whose schemas no cluster brings along.
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
# Of Helm values, for another chart.
NOT_APPLIED = {HERE / "components/autoscaling/prometheus-adapter-values.yaml"}


def documents(path):
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


FILES = sorted(
    {
        path.parent / name
        for path in KUSTOMIZATIONS
        for name in yaml.safe_load(path.read_text())["resources"]
        if name.endswith(".yaml")
    }
    if KUSTOMIZATIONS
    else set()
)
RESOURCES = [
    pytest.param(each, id=f"{each['kind']} {each['metadata']['name']}") for path in FILES for each in documents(path)
]


def one(kind, name=""):
    found = [each.values[0] for each in RESOURCES if each.values[0]["kind"] == kind]
    return next(each for each in found if not name or each["metadata"]["name"] == name)


def pods():
    """Pod templates, by the name of what makes pods of them."""
    found = {}
    for (resource,) in (each.values for each in RESOURCES):
        spec = resource.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "containers" in spec.get("template", {}).get("spec", {}):
            found[resource["metadata"]["name"]] = (resource, spec["template"])
    return found


def settings_of(*kustomizations):
    """What the settings are in the environment, the later ones instead of the earlier."""
    found = {}
    for name in kustomizations:
        for each in yaml.safe_load((HERE / name / "kustomization.yaml").read_text())["configMapGenerator"]:
            found.update(line.split("=", 1) for line in each["literals"])
    return found


def test_every_file_is_used():
    named = {*FILES, *KUSTOMIZATIONS, *NOT_APPLIED}

    assert {path for path in HERE.rglob("*") if path.is_file()} == named
    assert len(pods()) == 4


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_resource_is_valid_by_the_published_schema(resource):
    if resource["kind"] in CUSTOM:
        assert resource["apiVersion"] == "monitoring.coreos.com/v1"
        assert set(resource) == {"apiVersion", "kind", "metadata", "spec"}
        return
    kubernetes_validate.validate(resource, VERSION, strict=True)


@pytest.mark.parametrize("overlay", ["production", "embedded"])
@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_an_overlay_can_be_put_together_and_is_valid(overlay):
    built = subprocess.run(
        ["kubectl", "kustomize", str(HERE / "overlays" / overlay)], check=True, capture_output=True, text=True
    )
    found = [each for each in yaml.safe_load_all(built.stdout) if each]

    assert built.stderr == ""
    for resource in found:
        assert resource["metadata"]["namespace"] == "sluice"
        if resource["kind"] not in CUSTOM:
            kubernetes_validate.validate(resource, VERSION, strict=True)
    gateway = next(each for each in found if each["kind"] == "StatefulSet")
    assert (gateway["spec"].get("replicas") is None) == (overlay == "production")
    assert "kind: PodDisruptionBudget" not in built.stdout or overlay == "production"


@pytest.mark.parametrize("kustomizations", [("base",), ("base", "overlays/production"), ("overlays/embedded",)])
def test_the_settings_are_settings(tmp_path, kustomizations):
    environment = settings_of(*kustomizations)
    secrets = {
        "secret": "x" * 40,
        "database_url": "postgresql+asyncpg://sluice:password@postgres/sluice",
        "clickhouse_password": "password",
    }
    for name, value in list(environment.items()):
        if name.endswith("_FILE"):
            path = Path(value)
            assert path.parent == Path("/run/secrets/sluice")
            (tmp_path / path.name).write_text(secrets[path.name])
            environment[name] = str(tmp_path / path.name)

    settings = load({}, environment).settings

    assert settings.secret == secrets["secret"]
    assert not settings.pin_workers
    volume = one("StatefulSet")["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    assert settings.workers * settings.log_bytes_max < parse_size(f"{volume}B")


def test_the_pods_run_commands_that_there_are(capsys):
    for _, template in pods().values():
        for container in template["spec"]["containers"]:
            words = [word for word in container["args"] if not word.startswith("/")]
            with pytest.raises(SystemExit) as left:
                main([*words, "--help"])
            assert left.value.code == 0
    capsys.readouterr()


@pytest.mark.parametrize("name, port", [("sluice-gateway", DEFAULTS.port), ("sluice-worker", 7182)])
def test_the_probes_ask_for_what_is_answered_without_a_token(name, port):
    table = (ROOT / "gateway/api/first.py").read_text()
    public = set(re.findall(r'Route\("GET", "([^"]+)", \S+, Access.PUBLIC', table))
    container = pods()[name][1]["spec"]["containers"][0]
    probes = [each for each in ("startupProbe", "livenessProbe", "readinessProbe") if each in container]

    for probe in probes:
        assert container[probe]["httpGet"]["path"] in public
        assert container[probe]["httpGet"]["port"] in {each["name"] for each in container["ports"]}
    assert {each["containerPort"] for each in container["ports"]} == {port}
    assert one("ServiceMonitor")["spec"]["endpoints"][0]["path"] in public
    if name == "sluice-gateway":
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    else:
        environment = {each["name"]: each["value"] for each in container["env"]}
        assert load({}, environment).settings.worker_port == port


def test_a_pod_is_given_longer_to_end_than_it_takes():
    template = pods()["sluice-gateway"][1]["spec"]
    names = ("SLUICE_SHUTDOWN_DELAY_SECONDS", "SLUICE_DRAIN_SECONDS_MAX")
    settings = load({}, {name: settings_of("base")[name] for name in names}).settings

    seconds = settings.shutdown_delay_seconds + settings.drain_seconds_max
    assert template["terminationGracePeriodSeconds"] > seconds + 5


def test_a_pod_that_ends_serves_on_until_the_probe_has_seen_it():
    probe = pods()["sluice-gateway"][1]["spec"]["containers"][0]["readinessProbe"]
    name = "SLUICE_SHUTDOWN_DELAY_SECONDS"
    settings = load({}, {name: settings_of("base")[name]}).settings

    assert (
        settings.shutdown_delay_seconds
        > (probe["periodSeconds"] + probe["timeoutSeconds"]) * probe["failureThreshold"] - 1
    )


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_may_do_nothing_it_has_no_need_of(name):
    spec = pods()[name][1]["spec"]
    user = int(re.search(r"--uid (\d+)", (ROOT / "deploy/Dockerfile").read_text())[1])

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == user
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"memory"} <= set(container["resources"]["limits"])
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])


@pytest.mark.parametrize("name", sorted(pods()))
def test_what_is_mounted_is_there(name):
    resource, template = pods()[name]
    spec = template["spec"]
    volumes = {each["name"] for each in spec["volumes"]}
    volumes |= {each["metadata"]["name"] for each in resource["spec"].get("volumeClaimTemplates", ())}
    claims = {
        each.values[0]["metadata"]["name"] for each in RESOURCES if each.values[0]["kind"] == "PersistentVolumeClaim"
    }
    gateway = one("StatefulSet")
    kept = gateway["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]
    claims.add(f"{kept}-{gateway['metadata']['name']}-2")
    mounted = [mount for container in spec["containers"] for mount in container["volumeMounts"]]

    assert {mount["name"] for mount in mounted} == volumes
    assert {
        each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "persistentVolumeClaim" in each
    } <= claims
    assert "/run/secrets/sluice" in {mount["mountPath"] for mount in mounted}
    assert one("ServiceAccount")["metadata"]["name"] == spec["serviceAccountName"]
    for container in spec["containers"]:
        assert [each["configMapRef"]["name"] for each in container["envFrom"]] == ["sluice-settings"]


def test_what_is_selected_is_there():
    gateway, template = pods()["sluice-gateway"]
    labels = template["metadata"]["labels"].items()
    selectors = [
        gateway["spec"]["selector"]["matchLabels"],
        one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one("Service", "sluice")["spec"]["selector"],
        one("Service", "sluice-gateways")["spec"]["selector"],
        *(each["labelSelector"]["matchLabels"] for each in template["spec"]["topologySpreadConstraints"]),
    ]
    worker, worker_template = pods()["sluice-worker"]

    assert all(selector.items() <= labels for selector in selectors)
    assert worker["spec"]["selector"]["matchLabels"].items() <= worker_template["metadata"]["labels"].items()
    assert gateway["spec"]["serviceName"] == "sluice-gateways"
    watched = one("ServiceMonitor")["spec"]
    (expression,) = watched["selector"]["matchExpressions"]
    for name, of in (("sluice-gateways", template), ("sluice-workers", worker_template)):
        service = one("Service", name)
        assert service["metadata"]["labels"][expression["key"]] in expression["values"]
        assert watched["endpoints"][0]["port"] in {each["name"] for each in service["spec"]["ports"]}
        assert service["spec"]["selector"].items() <= of["metadata"]["labels"].items() | {
            ("app.kubernetes.io/name", "sluice")
        }
    ports = {each["name"] for each in template["spec"]["containers"][0]["ports"]}
    assert {
        each["targetPort"] for name in ("sluice", "sluice-gateways") for each in one("Service", name)["spec"]["ports"]
    } <= ports
    assert {each["port"] for each in one("NetworkPolicy")["spec"]["ingress"][0]["ports"]} <= ports
    target = one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (gateway["kind"], gateway["metadata"]["name"])


def test_the_network_policy_is_for_every_pod():
    """Also those of components, which get no label from the base."""
    base = yaml.safe_load((HERE / "base" / "kustomization.yaml").read_text())
    added = {}
    for each in base["labels"]:
        added |= each["pairs"] if each.get("includeSelectors") else {}
    wanted = added | one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    for name, (_, template) in pods().items():
        has = template["metadata"]["labels"] | (added if name == "sluice-gateway" else {})
        assert wanted.items() <= has.items(), name


def test_the_autoscaler_goes_by_a_metric_that_there_is():
    names = {metric.name for metric in metrics.declared()}
    wanted = one("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    (rule,) = yaml.safe_load(next(iter(NOT_APPLIED)).read_text())["rules"]["custom"]

    assert wanted in names
    assert rule["seriesQuery"].startswith(wanted + "{")
    assert rule["name"]["as"] == wanted


def test_the_ingress_lets_through_what_the_gateway_takes():
    ingress = one("Ingress")
    annotations = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    paths = {each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]}
    services = {each["backend"]["service"]["name"] for each in ingress["spec"]["rules"][0]["http"]["paths"]}

    assert parse_size(annotations["proxy-body-size"].upper() + "iB") > DEFAULTS.import_body_bytes_max
    assert int(annotations["proxy-read-timeout"]) > max(DEFAULTS.wait_seconds_max, DEFAULTS.query_seconds_max)
    assert services == {"sluice"}
    assert not paths & {"/", "/metrics", "/tokens", "/ready"}
    table = (ROOT / "gateway/api/routes.py").read_text() + (ROOT / "gateway/api/first.py").read_text()
    assert all(re.search(rf'f?"{path}["/.]', table) for path in paths)


def test_the_alerts_are_those_of_prometheus():
    wanted = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "sluice"},
        "spec": {"groups": yaml.safe_load((ROOT / "deploy/prometheus/rules/sluice.yml").read_text())["groups"]},
    }
    path = HERE / "components/monitoring/rules.yaml"
    if os.environ.get("UPDATE_DOCS"):
        note = "# Made from deploy/prometheus/rules/sluice.yml: UPDATE_DOCS=1 python -m pytest tests/tidy/test_kubernetes.py\n"
        path.write_text(note + yaml.safe_dump(wanted, sort_keys=False, width=120))

    assert yaml.safe_load(path.read_text()) == wanted
