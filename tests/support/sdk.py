"""Tinybird's own Python SDK (PyPI: tinybird-sdk), driven unmodified in an environment of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.gateway import Gateway

PYTHON = Path(sys.prefix) / "clients/bin/python"
SCRIPT = Path(__file__).parents[1] / "clients/sdk.py"

needs_sdk = pytest.mark.skipif(not PYTHON.exists(), reason="`make test` makes the environment of the SDK")


class SdkError(Exception):
    """What the SDK raised."""


class Sdk:
    """The SDK, in its own environment."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def __call__(self, call: str, *arguments: Any) -> Any:
        url = f"http://127.0.0.1:{self._gateway.port}"
        command = [str(PYTHON), str(SCRIPT), url, self._gateway.token, call, orjson.dumps(arguments).decode()]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        result = orjson.loads(done.stdout.splitlines()[-1])
        if "error" in result:
            raise SdkError(result["error"])
        return result["answer"]
