"""Child: one process that shall be running, and is started again when it dies.

idle ──► loading ──orders──► starting ──ready line──► ready ──exit──► waiting ──back-off──► loading
            └──────exit─────────┴────────────────────────────────────────┘
any ──stop asked──► stopping ──exit──► ended

It gets its orders when what it stands on is ready. Until then it loads its code, which is most of the time of a start.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.core.clock import Clock
from gateway.core.parent import READY
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

_LINE_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a process: its arguments, and what makes the first line of its standard input."""

    arguments: tuple[str, ...]
    orders: Callable[[], bytes] = bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the supervisor waits for what."""

    restart_seconds_min: float = 0.2
    restart_seconds_max: float = 10.0
    settled_seconds: float = 60.0  # a process that lived so long is started again at once, nearly
    ready_seconds_max: float = 120.0  # for a tier that others stand on


def restart_delay(timing: Timing, lived_seconds: float, previous: float) -> float:
    """Return how long to wait before a process that lived `lived_seconds` is started again."""
    if lived_seconds >= timing.settled_seconds or previous == 0:
        return timing.restart_seconds_min
    return min(previous * 2, timing.restart_seconds_max)


class Pulse:
    """A wake-up for everybody who waits for something to become true."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        """Wake all who wait; called after each change of what they may wait for."""
        self._event.set()
        self._event.clear()

    async def until(self, condition: Callable[[], bool], seconds_max: float | None = None) -> bool:
        """Return True when `condition()` holds, or False after `seconds_max`."""
        try:
            async with asyncio.timeout(seconds_max):
                while not condition():
                    await self._event.wait()
        except TimeoutError:
            return False
        return True


class Child:
    """See the module. Owned by the supervisor, which asks and reads the flags below, and is woken by the pulse."""

    def __init__(
        self,
        name: str,
        command: Callable[[int, int], Command],
        *,
        timing: Timing,
        clock: Clock,
        pulse: Pulse,
        inherited: tuple[int, ...] = (),
        is_its_turn: Callable[[], bool] = lambda: True,
        on_death: Callable[[int], bool] = lambda _code: True,
    ) -> None:
        """Prepare.

        Args:
            name: for logs and metrics.
            command: of a generation (how often it was started before) and a port (that it said last time, or 0).
            timing: of restarts.
            clock: to know how long it lived.
            pulse: given after each change.
            inherited: descriptors that the process keeps.
            is_its_turn: whether it may have its orders; the pulse is given when that changes.
            on_death: called with the exit code each time it dies unasked; says whether to start it again.
        """
        self.name = name
        self.port = 0
        self.is_ready = False
        self.was_ready = False
        self.is_clean = True  # the last process ended as it should, or there was none
        self._command = command
        self._timing = timing
        self._clock = clock
        self._pulse = pulse
        self._inherited = inherited
        self._is_its_turn = is_its_turn
        self._on_death = on_death
        self.is_running = False  # from before its start to after its end
        self._process: Process | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None else None

    async def keep(self) -> None:
        """Keep the process running; return when it has ended for good."""
        generation = 0
        delay = 0.0
        while not self._stop_asked():
            started = self._clock.monotonic()
            self.is_running = True
            code = await self._run(generation)
            # One that was stopped on its way to ready, before it listened to signals, had accepted nothing.
            self.is_clean = code == 0 or (code == -signal.SIGTERM and not self.is_ready)
            self.is_running = self.is_ready = False
            self._pulse.give()
            if self._stop_asked():
                break
            lived = self._clock.monotonic() - started
            delay = restart_delay(self._timing, lived, delay)
            _logger.warning(
                "supervisor.child_died",
                child=self.name,
                how=_how(code),
                lived_seconds=round(lived, 1),
                restart_in_seconds=delay,
            )
            if not self._on_death(code):
                break
            await self._pulse.until(self._stop_asked, delay)
            generation += 1

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the process to drain and exit, or make it."""
        self._is_stopping = True
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
        self._pulse.give()

    def _stop_asked(self) -> bool:
        return self._is_stopping

    async def _run(self, generation: int) -> int:
        """Run one process to its end and return its exit code, negative for a signal."""
        command = self._command(generation, self.port)
        try:
            # A group of its own: Ctrl-C is the supervisor's to hear, and to pass on in the right order.
            process = await asyncio.create_subprocess_exec(
                *command.arguments, stdin=PIPE, stdout=PIPE, pass_fds=self._inherited, process_group=0
            )
        except OSError as error:
            _logger.error("supervisor.spawn_failed", child=self.name, error=str(error))  # noqa: TRY400
            return 1
        self._process = process
        if self._stop_asked():  # asked while it was being started
            self.stop()
        assert process.stdin is not None
        ordering = asyncio.ensure_future(self._give_orders(process.stdin, command.orders))
        await self._listen(process)
        code = await process.wait()
        ordering.cancel()
        process.stdin.close()
        self._process = None
        return code

    async def _give_orders(self, stdin: asyncio.StreamWriter, orders: Callable[[], bytes]) -> None:
        await self._pulse.until(self._is_its_turn)
        stdin.write(orders())

    async def _listen(self, process: Process) -> None:
        """Note the ready line and pass on the others, until standard output ends."""
        assert process.stdout is not None
        rest = b""
        while piece := await process.stdout.read(_LINE_BYTES_MAX):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if not self._note_ready(line):
                    sys.stdout.write(line.decode("utf-8", "replace") + "\n")
            sys.stdout.flush()
            rest = rest[:_LINE_BYTES_MAX]

    def _note_ready(self, line: bytes) -> bool:
        """Return whether `line` says that the process is ready."""
        port = line.removeprefix(READY)
        if self.is_ready or port == line or not port.isdigit():
            return False
        self.port = int(port)
        self.is_ready = self.was_ready = True
        self._pulse.give()
        return True


def _how(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
