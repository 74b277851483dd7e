"""Supervisor: one process that starts the others, starts them again, and stops them in order.

    claims      what one run holds alone: the port, the data directory, the place among nodes
    orders      what a child is told on its standard input
    child       one process that shall be running
    supervisor  Supervisor: tiers of children, start to stop

It holds no data and answers no request, so it has little to die of. If it is killed all the same, its children see
their standard input end, drain and exit.
"""

from gateway.supervisor.child import Command, Timing
from gateway.supervisor.claims import (
    DirectoryTaken,
    NodeRefused,
    PortTaken,
    claim_directory,
    claim_idle_directory,
    claim_place,
    claim_port,
)
from gateway.supervisor.orders import Orders
from gateway.supervisor.supervisor import Role, Supervisor

__all__ = [
    "Command",
    "DirectoryTaken",
    "NodeRefused",
    "Orders",
    "PortTaken",
    "Role",
    "Supervisor",
    "Timing",
    "claim_directory",
    "claim_idle_directory",
    "claim_place",
    "claim_port",
]
