"""Principal: who asks. What a valid token turns into, and all that is known about the asker after that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.auth.scopes import Action, Scopes, forbidden


class Kind(StrEnum):
    """What sort of token was shown."""

    STATIC = "static"  # stored, and valid until it is refreshed or deleted
    JWT = "jwt"  # signed by its maker, and valid until it expires


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever showed a valid token."""

    token_id: str  # empty for a JWT, which is not stored
    token_name: str
    workspace_id: str
    scopes: Scopes
    is_user: bool = False  # the account's own token, what clients call the user token
    is_account: bool = False  # may list, make and drop workspaces: the user token, and the user's admin tokens
    kind: Kind = Kind.STATIC
    expires_at: int | None = None  # Unix seconds; from this moment on the token is not valid. None: never
    requests_per_second: float | None = None  # at most, of all tokens of this name together; None: as many as they like
    fixed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Pipe, by the names and ids its scopes use → the parameters that the token fixes; see `fixed_params`."""

    @property
    def is_admin(self) -> bool:
        """Whether everything in the workspace is allowed."""
        return self.scopes.allows(Action.ADMIN)

    @property
    def bucket(self) -> tuple[str, str]:
        """What requests are counted under for `requests_per_second`: tokens of a workspace with the same name share."""
        return self.workspace_id, self.token_name

    @property
    def limited_as(self) -> str:
        """What limits of this token alone are kept under: the id of a stored token, the name of a JWT."""
        return self.token_id or self.token_name

    def allows(self, action: Action, *resources: str) -> bool:
        """Tell whether the token grants `action` for a resource; see `Scopes.allows`."""
        return self.scopes.allows(action, *resources)

    def require(self, action: Action, *resources: str) -> None:
        """Return if the token grants `action` for a resource; see `Scopes.allows`.

        Raises:
            Forbidden: it does not.
        """
        if not self.scopes.allows(action, *resources):
            raise forbidden(action)

    def fixed_params(self, *pipe: str) -> dict[str, Any]:
        """Return the parameters that the token fixes for a pipe, known by any of these names and ids.

        They win over what the request says, wherever it says it. Values are as in JSON. Scopes for the same pipe add
        up; of one parameter, the value of the first scope counts.
        """
        found: dict[str, Any] = {}
        for each in pipe:
            for name, value in self.fixed.get(each, {}).items():
                found.setdefault(name, value)
        return found
