"""Does the time of an answer tell how much of a guessed token is right? And what does it cost to find out who asks?

    python loadtest/token_timing.py

Strings that begin like a valid token, more and less of it, are shown in turn, many times, in an order that changes each
round. Printed is the median of each over the rounds, and the quartiles: what differs by less than they are apart, nobody
can tell from outside. Takes about 20 seconds, on one core.
"""

import asyncio
import itertools
import random
import statistics
import string
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from gateway.auth import Authenticator, jwt
from gateway.auth.service import JWTS_MAX
from gateway.catalog import CatalogStore
from gateway.core.clock import SystemClock
from gateway.core.errors import Unauthenticated

_ROUNDS = 200
_CALLS = 100
_LETTERS = string.ascii_letters + string.digits + "-_"


def _guess(token: str, right: float, random_: random.Random) -> str:
    """A string of the same shape whose signature begins like that of `token`; 1: all but its last two characters."""
    head, _, signature = token.rpartition(".")
    kept = min(int(len(signature) * right), len(signature) - 2)
    while True:
        rest = "".join(random_.choices(_LETTERS, k=len(signature) - kept))
        if rest[0] != signature[kept]:
            return f"{head}.{signature[:kept]}{rest}"


def _microseconds(authenticator: Authenticator, strings: list[str]) -> float:
    began = time.perf_counter()
    for each in strings:
        try:
            authenticator.authenticate(each)
        except Unauthenticated:
            pass
    return (time.perf_counter() - began) / len(strings) * 1e6


async def _snapshot(directory: Path):
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{directory / 'metadata.db'}", SystemClock())
    try:
        return await store.load_snapshot()
    finally:
        await store.aclose()


def main() -> None:
    random_ = random.Random(1)
    with tempfile.TemporaryDirectory() as directory:
        snapshot = asyncio.run(_snapshot(Path(directory)))
    authenticator = Authenticator(SimpleNamespace(snapshot=snapshot), b"s" * 32)
    static = authenticator.builtin_tokens().workspace_admin_token
    workspace_id = snapshot.user_token().workspace_id
    scopes = tuple(jwt.ScopeClaim("PIPES:READ", f"api_kpis_v{n}", None, {"site_uuid": "a" * 36}) for n in range(28))
    signed = authenticator.mint_jwt(jwt.Claims(workspace_id, "user", int(time.time()) + 3600, scopes))
    # More than are remembered, in turn: each is forgotten when its turn comes again.
    many = [
        authenticator.mint_jwt(jwt.Claims(workspace_id, f"user {n}", int(time.time()) + 3600, scopes))
        for n in range(JWTS_MAX + _CALLS)
    ]

    turn = itertools.cycle(many)

    kinds = {"static, known": lambda: [static] * _CALLS}
    for right in (0.0, 0.25, 0.5, 0.75, 1.0):
        kinds[f"static, bad, {right:.0%} right"] = lambda right=right: [
            _guess(static, right, random_) for _ in range(_CALLS)
        ]
    kinds["static, nobody's workspace"] = lambda: [f"p.{static[12:-44]}AA.{'A' * 43}"] * _CALLS
    kinds["JWT of 28 scopes, known"] = lambda: [signed] * _CALLS
    kinds["JWT of 28 scopes, first use"] = lambda: list(itertools.islice(turn, _CALLS))
    for right in (0.0, 0.25, 0.5, 0.75, 1.0):
        kinds[f"JWT, bad, {right:.0%} right"] = lambda right=right: [
            _guess(signed, right, random_) for _ in range(_CALLS)
        ]
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(_ROUNDS):
        for kind in random_.sample(list(kinds), len(kinds)):
            took[kind].append(_microseconds(authenticator, kinds[kind]()))
    print(f"{'':32}median µs   quartiles")
    for kind, each in took.items():
        low, middle, high = statistics.quantiles(each, n=4)
        print(f"{kind:32}{middle:9.2f}   {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
