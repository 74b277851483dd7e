"""Quotas: how many of each kind a workspace may have, where its limits say so. Pure."""

from collections.abc import Mapping
from typing import Final

from gateway.core.errors import Forbidden

DATASOURCES: Final = "datasources_max"
PIPES: Final = "pipes_max"
TOKENS: Final = "tokens_max"

QUOTAS: Final[Mapping[str, str]] = {DATASOURCES: "data sources", PIPES: "pipes", TOKENS: "tokens"}
"""Keys of `Workspace.limits`, and what each counts; of tokens, those that did not come with the workspace."""


class QuotaReached(Forbidden):
    """The workspace has as many as it may have; its operator says how many that are."""


def check_quota(limits: Mapping[str, int], quota: str, count: int) -> None:
    """Return if there may be one more than `count`.

    Raises:
        QuotaReached: there may not.
    """
    most = limits.get(quota)
    if most is not None and count >= most:
        what = QUOTAS[quota]
        raise QuotaReached(
            f"This workspace may have at most {most} {what}, and has {count}: delete one, or have the limit raised"
        )
