"""Principal: who asks. What a valid token turns into, and all that is known about the asker after that."""

from dataclasses import dataclass

from gateway.auth.scopes import Action, Scopes, forbidden


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever showed a valid token."""

    token_id: str
    token_name: str
    workspace_id: str
    scopes: Scopes
    is_user: bool = False  # the account's own token, what clients call the user token
    is_account: bool = False  # may list, make and drop workspaces: the user token, and the user's admin tokens

    @property
    def is_admin(self) -> bool:
        """Whether everything in the workspace is allowed."""
        return self.scopes.allows(Action.ADMIN)

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
