"""Supervisor: tiers of children, started first to last, and stopped before what they stand on.

A tier is what the next one stands on: the engine, the workers, those that do jobs. Those of the next get their orders
when all of one are ready. The processes of all awaited tiers begin at once, to load their code meanwhile; the others
would only be in their way. On SIGTERM or SIGINT the engine is stopped last, so that what the others hold can still be
inserted; a second signal kills: nothing that was answered is lost, as it is in the log.

It gives up, instead of starting again, where starting again cannot help: a child says that its settings are wrong (exit
code 2), or one that others stand on was never ready.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.core.clock import Clock
from gateway.core.process import EXIT_CONFIGURATION
from gateway.supervisor.child import Child, Command, Pulse, Timing
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

EXIT_CLEAN: Final = 0
EXIT_FAILED: Final = 1

# How long after a SIGKILL the kernel may take; it is not a matter of the process any more.
_REAP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A tier: processes of one kind."""

    name: str
    children: Sequence[str]
    command: Callable[[int, int, int], Command]  # of index, generation, and the port said last time, or 0
    stop_seconds_max: float  # from SIGTERM to SIGKILL
    is_essential: bool = False  # others stand on it: it must be ready once, soon
    is_awaited: bool = True  # all is not ready before it is


class Supervisor:
    """See the module."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        clock: Clock,
        timing: Timing | None = None,
        inherited: tuple[int, ...] = (),
        on_ready: Callable[[], object] = lambda: None,
        on_death: Callable[[str, str], object] = lambda _role, _name: None,
    ) -> None:
        """Prepare.

        Args:
            roles: first to last.
            clock: the machine's, or a test's.
            timing: of starts.
            inherited: descriptors that the children keep.
            on_ready: called once, when all were ready.
            on_death: called with role and name each time a child dies unasked.
        """
        self._timing = timing or Timing()
        self._pulse = Pulse()
        self._roles = roles
        self._on_ready = on_ready
        self._begun: set[str] = set()  # roles whose turn has come
        self._signals = 0
        self._exit_code = EXIT_CLEAN
        self._is_giving_up = False
        self._on_death = on_death
        self._children = {
            role.name: [
                Child(
                    name,
                    partial(role.command, index),
                    timing=self._timing,
                    clock=clock,
                    pulse=self._pulse,
                    inherited=inherited,
                    is_its_turn=partial(self._begun.__contains__, role.name),
                    on_death=partial(self._judge, role, name),
                )
                for index, name in enumerate(role.children)
            ]
            for role in roles
        }

    def port(self, role: str) -> int:
        """Return the port that the first child of `role` said it answers on."""
        return self._children[role][0].port

    def pid(self, role: str) -> int | None:
        """Return the process that is the first child of `role` now."""
        return self._children[role][0].pid

    def request_stop(self) -> None:
        """Begin to stop; the second time, kill."""
        self._signals += 1
        _logger.info("supervisor.stopping" if self._signals == 1 else "supervisor.killing")
        self._pulse.give()

    async def run(self) -> int:
        """Start all, keep all, stop all; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        async with asyncio.TaskGroup() as group:
            await self._start(group)
            await self._pulse.until(lambda: self._is_stopping)
            # Those that nothing stands on stop beside each other: what one waits for is not the others'.
            await asyncio.gather(*(self._stop(role) for role in self._roles if not role.is_essential))
            for role in reversed(self._roles):
                if role.is_essential:
                    await self._stop(role)
        return self._exit_code

    def _is_settled(self, children: list[Child]) -> bool:
        return self._is_stopping or all(child.is_ready for child in children)

    @property
    def _is_stopping(self) -> bool:
        return self._signals > 0 or self._is_giving_up

    async def _start(self, group: asyncio.TaskGroup) -> None:
        """Start tier after tier; return when all are ready, or when it is time to stop."""
        for role in self._roles:
            if role.is_awaited:
                self._load(role, group)
        for role in self._roles:
            self._begun.add(role.name)
            self._pulse.give()
            if not role.is_awaited:
                self._load(role, group)
                continue
            in_time = await self._pulse.until(
                partial(self._is_settled, self._children[role.name]),
                self._timing.ready_seconds_max if role.is_essential else None,
            )
            if not in_time:
                self._give_up(EXIT_FAILED, role.name, f"not ready after {self._timing.ready_seconds_max:g} seconds")
            if self._is_stopping:
                return
        self._on_ready()

    def _load(self, role: Role, group: asyncio.TaskGroup) -> None:
        for child in self._children[role.name]:
            group.create_task(child.keep())

    def _judge(self, role: Role, name: str, code: int) -> bool:
        """Return whether a child that ended unasked with `code` is worth another start."""
        self._on_death(role.name, name)
        if any(child.was_ready for child in self._children[role.name]):
            return True
        if code == EXIT_CONFIGURATION:
            self._give_up(EXIT_CONFIGURATION, name, "it cannot start with these settings")
        elif role.is_essential:
            self._give_up(EXIT_FAILED, name, "it ended before it was ready")
        return not self._is_giving_up

    def _give_up(self, code: int, name: str, why: str) -> None:
        _logger.error("supervisor.gave_up", child=name, why=why)
        self._exit_code = self._exit_code or code
        self._is_giving_up = True
        self._pulse.give()

    async def _stop(self, role: Role) -> None:
        """Stop the children of `role`: ask, wait, kill."""
        running = [child for child in self._children[role.name] if child.is_running]
        for child in self._children[role.name]:
            child.stop(at_once=self._signals > 1)
        await self._pulse.until(
            lambda: self._signals > 1 or not any(child.is_running for child in running), role.stop_seconds_max
        )
        for child in running:
            if child.is_running:
                _logger.warning("supervisor.killed", child=child.name, after_seconds=role.stop_seconds_max)
                child.stop(at_once=True)
        await self._pulse.until(lambda: not any(child.is_running for child in running), _REAP_SECONDS)
        if not all(child.is_clean for child in running):
            self._exit_code = self._exit_code or EXIT_FAILED
