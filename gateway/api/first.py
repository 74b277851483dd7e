"""First: the routes that are there from the start: events, and what watches over a gateway. All others: `routes`."""

from gateway.api.events import EventsApi
from gateway.api.ops import OpsApi
from gateway.auth.access import Access
from gateway.auth.scopes import Action
from gateway.web.front import Route

_SMALL = 64 * 1024


def first_routes(events: EventsApi, ops: OpsApi, events_body_bytes_max: int) -> list[Route]:
    """Return the table."""
    return [
        Route(
            "POST",
            "/v0/events",
            events.post,
            Action.DATASOURCE_APPEND,
            events_body_bytes_max,
            jwt=True,
            foreign_is_404=True,
            form=False,
        ),
        Route("GET", "/v0/events", events.verify, Access.VALID, _SMALL, jwt=True, foreign_is_404=True),
        Route("GET", "/health", ops.health, Access.PUBLIC, _SMALL),
        Route("GET", "/v0/health", ops.health, Access.PUBLIC, _SMALL),
        Route("GET", "/ready", ops.ready, Access.PUBLIC, _SMALL),
        Route("GET", "/metrics", ops.metrics, Access.PUBLIC, _SMALL),
        Route("GET", "/version", ops.version, Access.PUBLIC, _SMALL),
        Route("GET", "/tokens", ops.tokens, Access.PUBLIC, _SMALL),
    ]
