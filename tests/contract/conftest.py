"""The gateway that the contract is checked on; see `tests.support.gateway`."""

from tests.support.gateway import gateway, gateway_log

__all__ = ["gateway", "gateway_log"]
