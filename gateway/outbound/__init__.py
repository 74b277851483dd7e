"""Outbound: the only way the gateway asks other servers for something on behalf of a client."""
