"""A real engine process, for tests: `with engine_process(tmp_path) as engine: engine.url`.

It dies with the test process, however that dies, because it watches its standard input. Run as a script this module is
the process itself.
"""

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import orjson

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class EngineHandle:
    """An engine that answers at `url`."""

    url: str
    user: str
    password: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def auth(self) -> dict[str, str]:
        """Headers that let a request in."""
        return {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password}

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_seconds: float = 30.0) -> int:
        """SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    def close(self) -> None:
        """Be rid of the process, whatever its state."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def start_engine(data_dir: Path, *, module: str = "tests.support.engine", **options: Any) -> EngineHandle:
    """Start an engine on `data_dir` and return when it answers; the caller closes it.

    `module`, run as a script, is the process.

    Raises:
        RuntimeError: it did not start; the message is what it said.
    """
    given = {"password": secrets.token_hex(16), "exit_when_stdin_closes": True, **options}
    with TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(data_dir.absolute()), orjson.dumps(given).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=_ROOT,
        )
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            process.communicate()
            errors.seek(0)
            raise RuntimeError(f"the engine did not start ({process.returncode}): {errors.read().decode()}")
    return EngineHandle(f"http://127.0.0.1:{int(port)}", given.get("user", "default"), given["password"], process)


@contextmanager
def engine_process(data_dir: Path, **options: Any) -> Iterator[EngineHandle]:
    """An engine on `data_dir`, gone when the block ends; `options` are those of `EngineOptions`."""
    engine = start_engine(data_dir, **options)
    try:
        yield engine
    finally:
        engine.close()


def _main() -> int:
    from gateway.engine.options import EngineOptions
    from gateway.engine.server import run

    options = EngineOptions(data_dir=Path(sys.argv[1]), **orjson.loads(sys.argv[2]))
    return run(options, lambda port: print(port, flush=True))


if __name__ == "__main__":
    sys.exit(_main())
