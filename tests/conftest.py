"""For every test: no line of log on the terminal but what a test asks for. After all of them: no secret came out."""

import os

import pytest
import structlog
from hypothesis import settings

from tests.support.gateway import shared_if_started
from tests.support.leaks import find_leaks
from tests.support.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]

# How long an example takes is the machine's business; a test never asserts it. The examples are the same each time, so that
# a change is judged by what it changes; SLUICE_TEST_LONG=1 looks for new ones.
settings.register_profile("sluice", deadline=None, print_blob=True, derandomize=not os.environ.get("SLUICE_TEST_LONG"))
settings.load_profile("sluice")


def _drop(_logger, _method, _event):
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def _quiet_logs():
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _nothing_secret_came_out(request):
    """Look through all that the shared gateway wrote and shows, when every test has done with it what it wants."""
    yield
    gateway = shared_if_started(request.config)
    if gateway is not None:
        assert find_leaks(gateway) == []
