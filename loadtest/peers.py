"""Peers: servers of others that a distribution brings, started with a configuration of our own in a directory of ours.

Where one is not installed, its arm is skipped and the report says so.
"""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from processes import Daemon, Failed, Skipped, ask, children

_START_SECONDS_MAX = 30.0

_NGINX = """
worker_processes 1;
error_log {directory}/nginx-error.log;
pid {directory}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 204; }} }}
}}
"""

_CLICKHOUSE = """
<yandex>
    <logger><level>error</level><console>1</console></logger>
    <http_port>{port}</http_port>
    <tcp_port>{tcp_port}</tcp_port>
    <listen_host>127.0.0.1</listen_host>
    <path>{data}/</path>
    <tmp_path>{data}/tmp/</tmp_path>
    <mark_cache_size>268435456</mark_cache_size>
    <max_concurrent_queries>1000</max_concurrent_queries>
    <keep_alive_timeout>60</keep_alive_timeout>
    <users_config>{users}</users_config>
    <default_profile>default</default_profile>
    <default_database>default</default_database>
</yandex>
"""

_CLICKHOUSE_USERS = """
<yandex>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users><default>
        <password></password>
        <networks><ip>127.0.0.1</ip></networks>
        <profile>default</profile>
        <quota>default</quota>
    </default></users>
</yandex>
"""

# The columns of `workload.SCHEMA` in types of 2018: no DateTime64 and no Bool, and LowCardinality is an experiment.
_CLICKHOUSE_DDL = (
    "CREATE TABLE events (id UInt64, ts DateTime, user String, event String, path String, duration_ms UInt32, "
    "price Float64, is_new UInt8) ENGINE = MergeTree PARTITION BY tuple() ORDER BY (event, ts)"
)
_CLICKHOUSE_VERSION = "18.16"


class Nginx(Daemon):
    """nginx with one worker that answers everything with 204: what a native server costs that does nothing."""

    def __init__(self, directory: Path) -> None:
        program = _find("nginx")
        self.port = _free_port()
        configuration = directory / "nginx.conf"
        configuration.write_text(_NGINX.format(directory=directory, port=self.port))
        command = [program, "-p", str(directory), "-c", str(configuration), "-g", "daemon off;"]
        super().__init__("nginx", command, directory)
        _await_answer(self)

    def pids(self) -> dict[str, list[int]]:
        return {"worker": [self.pid, *children(self.pid)]}


class OldClickHouse(Daemon):
    """ClickHouse 18.16, the version that Debian has. It syncs nothing, and keeps no more than a second in a DateTime."""

    def __init__(self, directory: Path) -> None:
        program = _find("clickhouse-server")
        # That of 2018 does not know the question.
        if subprocess.run([program, "--version"], capture_output=True, check=False, timeout=60).returncode == 0:
            raise Skipped(f"{program} is newer than {_CLICKHOUSE_VERSION}, for which the arm is made")
        self.port = _free_port()
        configuration, users, data = directory / "config.xml", directory / "users.xml", directory / "clickhouse"
        (data / "tmp").mkdir(parents=True)
        users.write_text(_CLICKHOUSE_USERS)
        configuration.write_text(_CLICKHOUSE.format(port=self.port, tcp_port=_free_port(), data=data, users=users))
        super().__init__("engine", [program, f"--config-file={configuration}"], directory)
        _await_answer(self)
        try:
            if not (version := self.sql("SELECT version()")).startswith(_CLICKHOUSE_VERSION):
                raise Skipped(f"{program} is {version}, and the arm is made for {_CLICKHOUSE_VERSION}")
            self.sql(_CLICKHOUSE_DDL)
        except BaseException:
            self.stop()
            raise

    def sql(self, query: str) -> str:
        """Return what it answers to `query`, as text."""
        status, answer = ask("POST", self.port, "/", query.encode())
        if status != 200:
            raise Failed(f"ClickHouse {_CLICKHOUSE_VERSION} refuses: {answer.decode(errors='replace')}")
        return answer.decode().strip()


def _find(program: str) -> str:
    # Where daemons are is not on everybody's PATH.
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Skipped(f"{program} is not installed")
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _await_answer(server: Daemon) -> None:
    """Return when it answers; end it and raise if it does not."""
    while True:
        try:
            ask("GET", server.port, "/")
        except OSError as error:
            if server.process.poll() is None and time.monotonic() - server.started < _START_SECONDS_MAX:
                time.sleep(0.02)
                continue
            server.stop()
            said = server.said.read_text(errors="replace")[-4000:]
            raise Failed(f"{server.name} did not start: {error}\n{said}") from error
        return
