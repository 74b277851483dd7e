"""The gateway that the contract is checked on; see `tests.support.gateway`."""

from tests.support.gateway import shared_gateway, show_gateway_log

__all__ = ["shared_gateway", "show_gateway_log"]
