"""The gateway that the contract is checked on, and what becomes of values sent to it."""

import pytest

from tests.support.gateway import Gateway, shared_gateway, show_gateway_log

__all__ = ["shared_gateway", "show_gateway_log"]

Q = "quarantined"


class Results:
    """Sends all values of a type at the first question, and remembers what became of each."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: dict[tuple[str, str], dict[str, str]] = {}

    def of(self, kind: str, path: str, texts: list[str]) -> dict[str, str]:
        """Text sent → what is stored as text, NULL or Q."""
        if (kind, path) not in self._known:
            self._known[kind, path] = self.send(kind, path, list(dict.fromkeys(texts)))
        return self._known[kind, path]

    def send(self, kind: str, path: str, texts: list[str]) -> dict[str, str]:
        gateway = self._gateway
        name = gateway.create_datasource(f"n UInt32 `json:$.n`, v {kind} `json:{path}`")
        body = "\n".join(f'{{"n": {number}, "v": {text}}}' for number, text in enumerate(texts))
        answer = gateway.post_events(name, body.encode(), wait="true")
        stored = gateway.sql(f"SELECT n, toString(v) AS v FROM {name}")
        refused = gateway.sql(f"SELECT n FROM {name}_quarantine")
        assert answer.counts == (200, len(stored), len(refused))
        found = {texts[row["n"]]: "NULL" if row["v"] is None else row["v"] for row in stored}
        found |= {texts[int(row["n"])]: Q for row in refused}
        assert len(found) == len(stored) + len(refused) == len(texts), "a row is lost or stored twice"
        return found


@pytest.fixture(scope="module")
def results(gateway: Gateway) -> Results:
    return Results(gateway)
