"""Stack: what docker-compose.yml says, as Docker Compose would read it: variables put in, profiles chosen, in order of start."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]

# $$, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?])([^}]*))?\})")
_SECONDS = {"s": 1.0, "m": 60.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that the file reads from who starts it."""

    name: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Mount:
    """What a service sees at `target`: a file or directory of the project, a volume, or (a tmpfs) nothing yet."""

    kind: str  # bind, volume, tmpfs
    source: str
    target: str
    read_only: bool


class Service:
    """One service; `of` is what the file says of it."""

    def __init__(self, name: str, of: dict[str, Any]) -> None:
        self.name = name
        self.of = of

    @property
    def is_ours(self) -> bool:
        """Is it made of deploy/Dockerfile?"""
        return "build" in self.of

    @property
    def image(self) -> str:
        return self.of["image"]

    @property
    def command(self) -> list[str]:
        return self.of.get("command", [])

    @property
    def environment(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.of.get("environment", {}).items()}

    @property
    def profiles(self) -> list[str]:
        return self.of.get("profiles", [])

    @property
    def depends_on(self) -> dict[str, dict[str, Any]]:
        return self.of.get("depends_on", {})

    @property
    def secrets(self) -> list[str]:
        return self.of.get("secrets", [])

    @property
    def health(self) -> list[str]:
        """The command of the health check; empty if it has none."""
        test = self.of.get("healthcheck", {}).get("test", [])
        return test[1:] if test[:1] == ["CMD"] else []

    @property
    def health_seconds_max(self) -> float:
        """How long after its start Docker waits at most until it calls it unhealthy."""
        check = self.of["healthcheck"]
        return seconds(check["start_period"]) + check["retries"] * (
            seconds(check["interval"]) + seconds(check["timeout"])
        )

    @property
    def stop_seconds_max(self) -> float:
        return seconds(self.of.get("stop_grace_period", "10s"))

    @property
    def mounts(self) -> list[Mount]:
        return [*map(_mount, self.of.get("volumes", [])), *map(_tmpfs, self.of.get("tmpfs", []))]


class Stack:
    """Services by name. `variables` is what the file may be given from outside."""

    def __init__(self, path: Path, given: Mapping[str, str] | None = None) -> None:
        text = path.read_text()
        self.variables = list(_variables(text))
        self.document = _put_in(yaml.safe_load(text), given or {})
        self.services = {name: Service(name, of) for name, of in self.document["services"].items()}
        self.secrets: dict[str, str] = {name: of["file"] for name, of in self.document.get("secrets", {}).items()}

    def in_order(self, *profiles: str) -> list[Service]:
        """Return the services that start with `profiles`, each behind those that it waits for."""
        chosen = {
            each.name: each for each in self.services.values() if not each.profiles or {*profiles} & {*each.profiles}
        }
        done: dict[str, Service] = {}

        def visit(service: Service, above: tuple[str, ...]) -> None:
            if service.name in above:
                raise ValueError(f"{' → '.join((*above, service.name))}: they wait for each other")
            for name, how in service.depends_on.items():
                if name in chosen:
                    visit(chosen[name], (*above, service.name))
                elif how.get("required", True):
                    raise ValueError(f"{service.name} waits for {name}, which is not started")
            done.setdefault(service.name, service)

        for service in chosen.values():
            visit(service, ())
        return list(done.values())


def seconds(text: str) -> float:
    """Return what a duration of the file means."""
    parts = re.findall(r"(\d+)(ms|s|m)", text)
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def image_environment(dockerfile: Path) -> dict[str, str]:
    """Return what the last stages of a Dockerfile put into the environment, as far as it is ours."""
    text = dockerfile.read_text().replace("\\\n", " ")
    pairs = (pair for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for pair in line.split())
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs) if name.startswith("SLUICE_")}


def _mount(given: Any) -> Mount:
    if isinstance(given, dict):
        return Mount(given["type"], given["source"], given["target"], given.get("read_only", False))
    source, target, *how = given.split(":")
    return Mount("bind" if source.startswith(".") else "volume", source, target, how == ["ro"])


def _tmpfs(given: str) -> Mount:
    return Mount("tmpfs", "", given.partition(":")[0], read_only=False)


def _variables(text: str) -> Iterator[Variable]:
    for _, name, how, rest in dict.fromkeys(_VARIABLE.findall(text)):
        if name:
            yield Variable(name, rest if how.endswith("-") else None)


def _put_in(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _put_in(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [_put_in(each, given) for each in value]
    return _VARIABLE.sub(lambda found: _value(found, given), value) if isinstance(value, str) else value


def _value(found: "re.Match[str]", given: Mapping[str, str]) -> str:
    dollar, name, how, rest = found.groups()
    if dollar:
        return "$"
    value = given.get(name)
    if value is None or (value == "" and how in {":-", ":?"}):
        if how in {":?", "?"}:
            raise ValueError(f"{name} must be set: {rest}")
        return rest or ""
    return value
