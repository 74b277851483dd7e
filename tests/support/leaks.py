"""What must never come out of a gateway: the strings of tokens, the values of variables, its secret.

`find_leaks` looks for every one of them, after whatever was done with the gateway, in what it wrote and shows: its log, its
metrics, the service data sources, and every quarantine. The fixtures of `tests.support.gateway` ask for it at the end of
a session, so all tests that use the shared gateway are what is looked through.
"""

from typing import Any

from gateway.auth.seal import Seal
from gateway.auth.token import mint
from gateway.catalog import CatalogStore
from gateway.control.variables import value
from gateway.schema.service import SERVICE_TABLES

_SHORTEST = 6  # values of variables shorter than this are in everything


def find_leaks(gateway: Any) -> list[str]:
    """Return where which secret was found: "log: token app_read"; the secrets themselves are not in it."""
    secrets = _secrets(gateway) | dict.fromkeys(gateway.shown, "a token that was shown")
    return [
        f"{place}: {what}" for place, text in _outputs(gateway) for secret, what in secrets.items() if secret in text
    ]


def _secrets(gateway: Any) -> dict[str, str]:
    secret = (gateway.data_dir / "secret").read_bytes().strip()

    async def look(store: CatalogStore, _: str) -> dict[str, str]:
        snapshot = await store.load_snapshot()
        found = {secret.decode(): "the secret of the installation"}
        for token in snapshot.tokens.values():
            for version in range(1, token.secret_version + 1):
                string = mint(secret, token.workspace_id, token.id, secret_version=version)
                found[string.rpartition(".")[2]] = f"token {token.name}"
        for each in snapshot.variables.values():
            if each.sealed:
                text = value(snapshot, Seal(secret), each.workspace_id, each.name) or ""
                if len(text) >= _SHORTEST:
                    found[text] = f"variable {each.name}"
        return found

    return gateway.in_catalog(look)


def _outputs(gateway: Any) -> list[tuple[str, str]]:
    found = [("log", gateway.log.read_text(errors="replace")), ("metrics", gateway.get("/metrics", token="").text)]
    for source in SERVICE_TABLES:
        answer = gateway.get("/v0/sql", q=f"SELECT * FROM tinybird.{source} FORMAT JSONEachRow")
        if answer.status == 200:
            found.append((f"tinybird.{source}", answer.body.decode(errors="replace")))  # states are bytes
    for datasource in gateway.get("/v0/datasources").json["datasources"]:
        name = datasource["name"] + "_quarantine"
        answer = gateway.get("/v0/sql", q=f"SELECT * FROM {name} LIMIT 1000 FORMAT JSONEachRow")
        found.append((name, answer.text))
    return found
