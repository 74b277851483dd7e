"""Run: the services of a stack as processes of this machine, on free ports of 127.0.0.1, with directories for volumes.

Of a service are kept: command, environment, secrets, mounted files, health check, signal and time to stop. Changed is only
where things are: `gateway-1:7181` becomes `127.0.0.1:<a free port>`, `/run/secrets/x` a file in a directory of ours.
"""

import contextlib
import ctypes
import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.rehearse import tools
from deploy.rehearse.stack import ROOT, Service, Stack, image_environment

_PAUSE_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Failed(Exception):
    """The rehearsal did not go as it should; the text says why."""


class NotHere(Exception):
    """A service cannot run on this machine; the text says why."""


@dataclass(slots=True)
class Program:
    """How a service is run here, and what of it is not as the file says."""

    command: list[str]
    environment: dict[str, str]
    what: str
    replaced: list[str] = field(default_factory=list)
    user: int | None = None
    stop_signal: int = signal.SIGTERM
    health: Callable[[], bool] | None = None  # in the place of the command of the file


@dataclass(slots=True)
class Running:
    """A service that was started."""

    service: Service
    program: Program
    process: subprocess.Popen[bytes]
    log: Path
    healthy_seconds: float = 0.0
    ended: str = ""


class Loopback:
    """The services of one stack on this machine. `start` them in order, and `stop` what was started."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        self.running: dict[str, Running] = {}
        self._ports: dict[tuple[str, int], int] = {}
        self._image = image_environment(ROOT / "deploy" / "Dockerfile")
        self._secrets = directory / "secrets"
        names = "|".join(map(re.escape, stack.services))
        self._address = re.compile(rf"\b({names}|127\.0\.0\.1):(\d+)\b|(?<![\w.:\]]):(\d+)\b")
        subprocess.run(["sh", str(ROOT / "deploy" / "secrets.sh"), str(self._secrets)], check=True, capture_output=True)
        for name in ("database_url",):  # the one secret that names another service
            path = self._secrets / name
            text = self.moved(path.read_text())
            path.unlink()
            path.write_text(text)

    def port(self, service: str, number: int) -> int:
        """Return the port of this machine that stands for a port of a service."""
        if (service, number) not in self._ports:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self._ports[service, number] = free.getsockname()[1]
        return self._ports[service, number]

    def secret(self, name: str) -> str:
        return (self._secrets / name).read_text().strip()

    def moved(self, text: str, service: Service | None = None) -> str:
        """Return `text` with addresses and, as `service` sees them, paths and its own ports as they are here."""
        text = self._address.sub(lambda found: self._here(found, service), text)
        if service is None:
            return text
        paths = self._paths(service)
        targets = "|".join(map(re.escape, sorted(paths, key=len, reverse=True)))  # of two that fit, the longer
        return (
            re.sub(rf"(?<![\w.])({targets})(?=$|[/\s\"'])", lambda found: str(paths[found[1]]), text) if paths else text
        )

    def start(self, service: Service) -> Running:
        """Start a service and wait until it is healthy.

        Raises:
            NotHere: it cannot run on this machine.
            Failed: it ended, or did not become healthy in the time that the file gives it.
        """
        program = self._program(service)
        log = self.directory / f"{service.name}.log"
        options = {} if program.user is None else {"user": program.user, "group": program.user, "extra_groups": []}
        with log.open("ab") as out:
            process = subprocess.Popen(
                program.command,
                cwd=ROOT if service.is_ours else "/",
                env=program.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, nothing that could be locked
                **options,
            )
        running = self.running[service.name] = Running(service, program, process, log)
        self._await_healthy(running)
        return running

    def stop(self, name: str) -> Running:
        """Stop a service as Docker would: its signal, its time, and then SIGKILL."""
        running = self.running[name]
        if running.process.poll() is not None:
            running.ended = running.ended or f"ended by itself: {running.process.returncode}"
            return running
        began = time.monotonic()
        running.process.send_signal(running.program.stop_signal)
        try:
            code = running.process.wait(running.service.stop_seconds_max)
            running.ended = f"{code}, after {time.monotonic() - began:.1f} s"
        except subprocess.TimeoutExpired:
            self.kill(running)
            running.ended = f"killed after {running.service.stop_seconds_max:.0f} s"
        return running

    def kill(self, running: Running) -> None:
        """End a service and its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()

    def aclose(self) -> None:
        """Be rid of whatever still runs."""
        for running in self.running.values():
            if running.process.poll() is None:
                self.kill(running)

    # How each image is run

    def _program(self, service: Service) -> Program:
        if service.is_ours:
            return self._sluice(service)
        kind = service.image.partition(":")[0]
        make = {
            "haproxy": self._haproxy,
            "postgres": self._postgres,
            "clickhouse/clickhouse-server": self._engine,
            "prom/prometheus": self._prometheus,
            "grafana/k6": self._k6,
            "locustio/locust": self._locust,
        }.get(kind)
        if make is None:
            raise NotHere(f"{service.image} is in no package registry that is reached from here")
        return make(service)

    def _environment(self, service: Service, **more: str) -> dict[str, str]:
        outside = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}
        return outside | {name: self.moved(value, service) for name, value in service.environment.items()} | more

    def _sluice(self, service: Service) -> Program:
        replaced = ["the image: this checkout"]
        moved = {name: self.moved(value, service) for name, value in self._image.items()}
        environment = moved | self._environment(service) | {"SLUICE_HOST": "127.0.0.1"}
        if service.command == ["serve"]:
            environment["SLUICE_PORT"] = str(self.port(service.name, 7181))
            environment["SLUICE_TRUSTED_PROXIES"] += ",127.0.0.1"
        if "SLUICE_WORKER_PORT" in environment:
            environment["SLUICE_WORKER_PORT"] = str(self.port(service.name, int(environment["SLUICE_WORKER_PORT"])))
        if environment.pop("SLUICE_CLICKHOUSE_READ_USER", None):
            environment.pop("SLUICE_CLICKHOUSE_READ_PASSWORD_FILE")
            replaced.append("the reader: the embedded engine has one user")
        return Program([*_gateway(), *service.command], environment, "Sluice", replaced)

    def _engine(self, service: Service) -> Program:
        user, password = "sluice", self.secret("clickhouse_password")
        url = f"http://{user}:{password}@127.0.0.1:{self.port(service.name, 8123)}/"
        more = {"SLUICE_CLICKHOUSE_URL": url, "SLUICE_DATA_DIR": str(self._paths(service)["/var/lib/clickhouse"])}
        environment = {name: value for name, value in self._environment(service).items() if "CLICKHOUSE_" not in name}
        return Program(
            [*_gateway(), "engine"], environment | more, "sluice engine", ["ClickHouse: its engine as a library, chdb"]
        )

    def _haproxy(self, service: Service) -> Program:
        tool = tools.find("haproxy", "liblua5.3-0", "libopentracing1", "libopentracing-c-wrapper0")
        if tool is None:
            raise NotHere("haproxy is not installed, and Debian's package is not to be had")
        command = [str(tool.path), *(self.moved(word, service) for word in service.command[1:])]
        environment = self._environment(service, **tool.environment)
        environment["SLUICE_PROXY_WATCH_BIND"] = f"127.0.0.1:{self.port(service.name, 8405)}"
        checked = subprocess.run(
            [*command[:1], "-c", *command[3:]], env=environment, capture_output=True, text=True, check=False
        )
        if checked.returncode:
            raise Failed(f"haproxy does not take the configuration:\n{checked.stdout}{checked.stderr}")
        return Program(
            command, environment, f"HAProxy {tool.version('-v')} ({tool.origin})", stop_signal=signal.SIGUSR1
        )

    def _postgres(self, service: Service) -> Program:
        binaries = tools.postgres_binaries()
        if binaries is None:
            raise NotHere("PostgreSQL is not installed")
        data, user = self._paths(service)["/var/lib/postgresql/data"], None
        home = data.parent / "postgres-home"
        home.mkdir(exist_ok=True)
        if os.geteuid() == 0:  # PostgreSQL refuses to be root, and wants a user with a name
            user = pwd.getpwnam("nobody").pw_uid
            binaries = _reachable(binaries, home, user)
            shutil.chown(data, user, user)
        password = home / "password"
        password.write_text(self.secret("postgres_password"))
        who = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        given = self._environment(service)
        if not (data / "PG_VERSION").exists():
            run = [binaries / "initdb", "-D", data, "-U", given["POSTGRES_USER"], f"--pwfile={password}", "-E", "UTF8",
                   "--no-locale", *given["POSTGRES_INITDB_ARGS"].split()]  # fmt: skip
            made = subprocess.run(run, cwd="/", env=given, capture_output=True, text=True, check=False, **who)
            if made.returncode:
                raise Failed(f"initdb: {made.stderr}")
            single = [binaries / "postgres", "--single", "-D", data, "template1"]
            subprocess.run(single, cwd="/", input=f'CREATE DATABASE "{given["POSTGRES_DB"]}"\n', env=given, text=True,
                           check=True, capture_output=True, **who)  # fmt: skip
        port = self.port(service.name, 5432)
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "",
                   *service.command[1:]]  # fmt: skip
        program = Program(command, given | {"PGPORT": str(port)}, f"PostgreSQL {_version_of(binaries)}", user=user)
        program.stop_signal = signal.Signals[service.of["stop_signal"]]
        if (binaries / "pg_isready").exists():
            program.environment["PATH"] = f"{binaries}:{program.environment.get('PATH', '')}"
        else:
            program.replaced.append("pg_isready: a connection")
            program.health = lambda: _connects(port)
        return program

    def _prometheus(self, service: Service) -> Program:
        tool = tools.find("prometheus")
        if tool is None:
            raise NotHere("prometheus is not installed, and Debian's package is not to be had")
        copy = self.directory / "prometheus"
        if not copy.exists():
            shutil.copytree(self._paths(service)["/etc/prometheus"], copy)
            config = copy / "prometheus.yml"
            text = self.moved(config.read_text()).replace("/etc/prometheus", str(copy))
            config.write_text(re.sub(r"(scrape_interval|evaluation_interval|scrape_timeout): \S+", r"\1: 1s", text))
        command = [self.moved(word, service).replace(str(self._paths(service)["/etc/prometheus"]), str(copy))
                   for word in service.command]  # fmt: skip
        listen = f"--web.listen-address=127.0.0.1:{self.port(service.name, 9090)}"
        what = f"Prometheus {tool.version('--version')} ({tool.origin})"
        return Program([str(tool.path), *command, listen], self._environment(service), what, ["its intervals: 1 s"])

    def _k6(self, service: Service) -> Program:
        return self._loader("k6", service)

    def _locust(self, service: Service) -> Program:
        return self._loader("locust", service)

    def _loader(self, name: str, service: Service) -> Program:
        path = ROOT / "loadtest" / ".venv" / "bin" / name
        if not path.exists():
            raise NotHere(f"{name} is not installed: `make load` brings it")
        command = [self.moved(word, service) for word in service.command]
        return Program([str(path), *command], self._environment(service), f"{name}, of loadtest/.venv")

    # Health

    def _await_healthy(self, running: Running) -> None:
        service, began = running.service, time.monotonic()
        if not service.health:
            return
        while not self._is_healthy(running):
            waited = time.monotonic() - began
            if running.process.poll() is not None or waited > service.health_seconds_max:
                said = running.log.read_text(errors="replace")[-3000:]
                raise Failed(f"{service.name} is not healthy after {waited:.0f} s:\n{said}")
            time.sleep(_PAUSE_SECONDS)
        running.healthy_seconds = time.monotonic() - began

    def _is_healthy(self, running: Running) -> bool:
        if running.program.health is not None:
            return running.program.health()
        program, *words = (self.moved(word, running.service) for word in running.service.health)
        if program == "wget" and not shutil.which("wget"):
            return _answers(words[-1])
        if program == "sluice":
            if "--port" in words:
                at = words.index("--port") + 1
                words[at] = str(self.port(running.service.name, int(words[at])))
            command = [*_gateway(), *words]
        else:
            port = ["-p", running.program.environment["PGPORT"]] if program == "pg_isready" else []
            command = [program, *words, *port]
        done = subprocess.run(
            command, cwd=ROOT, env=running.program.environment, capture_output=True, check=False, timeout=30
        )
        return done.returncode == 0

    # Where things are

    def _here(self, found: "re.Match[str]", service: Service | None) -> str:
        """Return where an address is here: of a service by its name, of `service` itself by 127.0.0.1 or a bare port."""
        name, number = found[1], int(found[2] or found[3])
        if name is None or name == "127.0.0.1":
            if service is None:
                return found[0]
            name = service.name
        return f"127.0.0.1:{self.port(name, number)}"

    def _paths(self, service: Service) -> dict[str, Path]:
        """Return the paths of a service and where they are here."""
        found = {f"/run/secrets/{name}": self._secrets / name for name in service.secrets}
        for mount in service.mounts:
            if mount.kind == "bind":
                found[mount.target] = (ROOT / mount.source).resolve()
            elif mount.kind == "volume":
                found[mount.target] = self.directory / "volumes" / mount.source
            else:
                found[mount.target] = (
                    self.directory / "tmpfs" / service.name / mount.target.strip("/").replace("/", "-")
                )
        for mount in service.mounts:
            if mount.kind != "bind":
                found[mount.target].mkdir(parents=True, exist_ok=True)
        return found


def _gateway() -> list[str]:
    return [sys.executable, "-m", "gateway"]


def _answers(url: str) -> bool:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=3)
    try:
        connection.request("GET", place.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connects(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def _version_of(binaries: Path) -> str:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1] if said.split()[-1][0].isdigit() else said.split()[2]


def _reachable(binaries: Path, home: Path, user: int) -> Path:
    """Return `binaries`, or a copy of them where `user` can reach it."""
    copy = home / "install"
    if copy.exists():
        return copy / binaries.relative_to(binaries.parents[2])
    try:
        look = subprocess.run(
            [binaries / "postgres", "--version"], cwd="/", capture_output=True, user=user, check=False
        )
        if look.returncode == 0:
            return binaries
    except PermissionError:
        pass
    package = binaries.parents[1]
    for each in (binaries.parent, package.with_suffix(".libs"), *package.parent.glob("*.libs")):
        if each.exists() and not (copy / each.relative_to(package.parent)).exists():
            shutil.copytree(each, copy / each.relative_to(package.parent))
    return copy / binaries.relative_to(package.parent)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
