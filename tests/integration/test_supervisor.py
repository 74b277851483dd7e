"""The supervisor, with real child processes: small programs that stand for the engine and the workers."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import load
from gateway.core.clock import SystemClock
from gateway.supervisor import Command, DirectoryTaken, PortTaken, Role, Supervisor, Timing, claim_directory, claim_port
from gateway.supervisor.child import restart_delay
from gateway.supervisor.run import welcome

SECONDS_MAX = 20  # for anything in here; a test that needs it has failed

# A child that writes down what happens to it. Its behaviour is a list of words:
#   ready         say so                     silent        do not
#   die=N         exit with N at once        die-once=N    the same, in the first generation only
#   stubborn      ignore SIGTERM             slow-stop     take a while to drain
#   wait          be ready when the file beside the journal is there
#   deaf          let SIGTERM do as it does to a program that has just begun
CHILD = """
import os, select, signal, sys, time
journal, name, generation, port, *words = sys.argv[1:]
def note(what):
    with open(journal, "a") as file:
        file.write(f"{what} {name} {generation} {os.getpid()} {port}\\n")
def leave(how):
    note(how)
    if "slow-stop" in words:
        time.sleep(0.2)
        note("drained")
    sys.exit(0)
if "deaf" not in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in words else lambda *_: leave("asked"))
note("loading")
orders = sys.stdin.readline()
if not orders:
    sys.exit(0)
note("started")
for word in words:
    if word.startswith("die=") or (word.startswith("die-once=") and generation == "0"):
        sys.exit(int(word.partition("=")[2]))
while "wait" in words and not os.path.exists(journal + ".go"):
    time.sleep(0.01)
if "silent" not in words:
    print(f"ready {port if port != '0' else 4000 + os.getpid() % 1000}\\nhello from {name}: {orders}", end="", flush=True)
if not os.read(0, 1):
    leave("orphaned")
"""

FAST = Timing(restart_seconds_min=0.02, restart_seconds_max=0.05, ready_seconds_max=5.0)


class World:
    """Children that keep a journal, and the supervisor over them."""

    def __init__(self, directory):
        self.journal = directory / "journal"
        self.let_go = directory / "journal.go"
        self.ready = asyncio.Event()
        self.deaths = []

    def role(self, name, *words, count=1, **options):
        """Return a tier of children that behave as `words` say."""
        names = [f"{name}-{index}" for index in range(count)]

        def command(index, generation, port):
            arguments = (str(self.journal), names[index], str(generation), str(port), *words)
            return Command((sys.executable, "-IS", "-c", CHILD, *arguments), orders=lambda: b"the orders\n")

        return Role(name=name, children=names, command=command, **{"stop_seconds_max": 5.0, **options})

    def supervisor(self, *roles, timing=FAST, inherited=()):
        return Supervisor(
            roles,
            clock=SystemClock(),
            timing=timing,
            inherited=inherited,
            on_ready=self.ready.set,
            on_death=lambda role, name: self.deaths.append((role, name)),
        )

    def notes(self, *kinds):
        """Return the journal: (what, name, generation, pid, port)."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [note for note in map(str.split, lines) if not kinds or note[0] in kinds]

    async def until(self, condition):
        """Wait until the journal is as `condition` says."""
        async with asyncio.timeout(SECONDS_MAX):
            while not condition():
                await SystemClock().sleep(0.01)


@pytest.fixture
async def world(tmp_path):
    found = World(tmp_path)
    yield found
    assert [note for note in found.notes("started") if is_alive(int(note[3]))] == []


@asynccontextmanager
async def running(supervisor):
    """Run `supervisor`, and give a task that ends with its exit code."""
    async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
        yield group.create_task(supervisor.run())


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_tier_is_started_when_the_one_before_is_ready_and_stopped_before_it(world):
    supervisor = world.supervisor(world.role("engine", is_essential=True), world.role("worker", "slow-stop", count=2))

    async with running(supervisor) as result:
        await world.ready.wait()
        supervisor.request_stop()

    assert result.result() == 0
    order = [(note[0], note[1].partition("-")[0]) for note in world.notes("started", "asked", "drained")]
    assert order == [
        ("started", "engine"),
        *[("started", "worker")] * 2,
        *[("asked", "worker")] * 2,
        *[("drained", "worker")] * 2,
        ("asked", "engine"),
    ]


async def test_a_tier_loads_its_code_while_the_one_before_is_not_ready_and_stops_from_there(world):
    engine = world.role("engine", "silent", is_essential=True)
    jobs = world.role("jobs", is_awaited=False)
    supervisor = world.supervisor(engine, world.role("worker", "deaf", count=2), jobs)

    async with running(supervisor) as result:
        await world.until(lambda: len(world.notes("loading")) == 3 and world.notes("started"))
        supervisor.request_stop()

    assert result.result() == 0
    assert sorted(note[1] for note in world.notes("loading")) == ["engine-0", "worker-0", "worker-1"]
    assert [note[1] for note in world.notes("started")] == ["engine-0"]


async def test_a_child_that_dies_before_its_turn_is_started_again_and_gets_its_orders_then(world):
    engine = world.role("engine", "wait", is_essential=True)
    supervisor = world.supervisor(engine, world.role("worker"))

    async with running(supervisor) as result:
        await world.until(lambda: len(world.notes("loading")) == 2)
        os.kill(int(next(note for note in world.notes("loading") if note[1] == "worker-0")[3]), signal.SIGKILL)
        await world.until(lambda: len(world.notes("loading")) == 3)
        world.let_go.touch()
        await world.ready.wait()
        supervisor.request_stop()

    assert result.result() == 0
    assert [note[1:3] for note in world.notes("started")] == [["engine-0", "0"], ["worker-0", "1"]]


async def test_all_is_ready_without_a_tier_that_nobody_waits_for(world):
    jobs = world.role("jobs", "silent", is_awaited=False)
    supervisor = world.supervisor(world.role("worker"), jobs)

    async with running(supervisor) as result:
        await world.ready.wait()
        await world.until(lambda: len(world.notes("started")) == 2)
        supervisor.request_stop()

    assert result.result() == 0
    assert sorted(note[1] for note in world.notes("asked")) == ["jobs-0", "worker-0"]


async def test_a_child_that_dies_is_started_again(world):
    supervisor = world.supervisor(world.role("worker", "die-once=3", count=2))

    async with running(supervisor) as result:
        await world.ready.wait()
        supervisor.request_stop()

    assert result.result() == 0
    assert sorted(world.deaths) == [("worker", "worker-0"), ("worker", "worker-1")]
    assert sorted((note[1], note[2]) for note in world.notes("started")) == [
        ("worker-0", "0"),
        ("worker-0", "1"),
        ("worker-1", "0"),
        ("worker-1", "1"),
    ]


async def test_a_killed_engine_comes_back_on_its_port_and_the_workers_stay(world):
    supervisor = world.supervisor(world.role("engine", is_essential=True), world.role("worker", count=2))

    async with running(supervisor) as result:
        await world.ready.wait()
        port = supervisor.port("engine")
        os.kill(int(world.notes("started")[0][3]), signal.SIGKILL)
        await world.until(lambda: len(world.notes("started")) == 4)
        supervisor.request_stop()

    assert result.result() == 0
    assert [*world.notes("started")[-1][1:3], world.notes("started")[-1][4]] == ["engine-0", "1", str(port)]


async def test_the_wait_before_a_restart_grows_to_its_cap_and_is_forgotten_by_a_long_life():
    timing = Timing()
    delays = [0.0]
    for _ in range(8):
        delays.append(restart_delay(timing, 1.0, delays[-1]))

    assert delays[1:] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert restart_delay(timing, 60.0, 10.0) == 0.2


async def test_a_stop_does_not_wait_for_a_restart(world):
    slow = replace(FAST, restart_seconds_min=60.0, restart_seconds_max=60.0)
    supervisor = world.supervisor(world.role("worker", "die=1"), timing=slow)

    async with running(supervisor) as result:
        await world.until(lambda: world.deaths)
        supervisor.request_stop()

    assert result.result() == 0


async def test_a_stop_in_the_middle_of_a_start_is_clean(world):
    supervisor = world.supervisor(world.role("worker", "silent", "deaf"))

    async with running(supervisor) as result:
        await world.until(lambda: world.notes("started"))
        supervisor.request_stop()

    assert result.result() == 0
    assert not world.notes("asked")


async def test_a_child_that_does_not_stop_in_time_is_killed_and_said_in_the_exit_code(world):
    supervisor = world.supervisor(world.role("worker", "stubborn", stop_seconds_max=0.1))

    async with running(supervisor) as result:
        await world.ready.wait()
        supervisor.request_stop()

    assert result.result() == 1


async def test_a_second_signal_stops_at_once(world):
    engine = world.role("engine", "stubborn", is_essential=True, stop_seconds_max=60)
    supervisor = world.supervisor(engine, world.role("worker", "stubborn", stop_seconds_max=60))

    async with running(supervisor) as result:
        await world.ready.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    assert result.result() == 1


async def test_an_engine_that_ends_before_it_is_ready_ends_the_start(world):
    supervisor = world.supervisor(world.role("engine", "die=1", is_essential=True), world.role("worker"))

    async with running(supervisor) as result:
        pass

    assert result.result() == 1
    assert [note[1] for note in world.notes("started")] == ["engine-0"]


async def test_an_engine_that_is_never_ready_ends_the_start(world):
    hurried = replace(FAST, ready_seconds_max=0.2)
    supervisor = world.supervisor(world.role("engine", "silent", is_essential=True), timing=hurried)

    async with running(supervisor) as result:
        pass

    assert result.result() == 1
    assert not world.ready.is_set()


async def test_a_child_that_calls_its_settings_wrong_ends_the_start_with_code_2(world):
    supervisor = world.supervisor(world.role("engine", is_essential=True), world.role("worker", "die=2", count=2))

    async with running(supervisor) as result:
        pass

    assert result.result() == 2
    assert world.notes("asked")[-1][1] == "engine-0"


async def test_a_program_that_is_not_there_is_tried_again_until_the_stop(world):
    role = Role(
        name="worker", children=["worker-0"], command=lambda *_: Command(("/nowhere/at/all",)), stop_seconds_max=1.0
    )
    supervisor = world.supervisor(role)

    async with running(supervisor) as result:
        await world.until(lambda: len(world.deaths) >= 2)
        supervisor.request_stop()

    assert result.result() == 0


async def test_a_child_gets_its_orders_and_what_it_prints_is_passed_on(world, capfd):
    supervisor = world.supervisor(world.role("worker"))

    async with running(supervisor):
        await world.ready.wait()
        await world.until(lambda: "the orders" in capfd.readouterr().out)
        supervisor.request_stop()


# A supervisor of its own process, to be killed: it holds a data directory, two children, and says when they are ready.
DRIVER = """
import asyncio, sys
from pathlib import Path
from gateway.core.clock import SystemClock
from gateway.supervisor import Command, Role, Supervisor, claim_directory
directory, journal, program = sys.argv[1:]
async def main():
    lock = await claim_directory(Path(directory), SystemClock(), 0)
    def command(index, generation, port):
        return Command((sys.executable, "-IS", "-c", program, journal, f"worker-{index}", str(generation), "0", "slow-stop"), lambda: b"go\\n")
    role = Role(name="worker", children=["worker-0", "worker-1"], command=command, stop_seconds_max=5.0)
    say = lambda: print("all ready", flush=True)
    return await Supervisor([role], clock=SystemClock(), inherited=(lock,), on_ready=say).run()
sys.exit(asyncio.run(main()))
"""


@pytest.fixture
def driver(tmp_path):
    """Start the driver, wait until it is ready, and see that nothing of it is left in the end."""
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "-c", DRIVER, str(tmp_path / "data"), str(tmp_path / "journal"), CHILD]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=root, text=True, start_new_session=True) as process:
        assert "all ready\n" in iter(process.stdout.readline, "")
        yield process
        process.kill()


async def test_children_notice_that_the_supervisor_was_killed(world, driver):
    driver.send_signal(signal.SIGKILL)

    await world.until(lambda: len(world.notes("drained")) == 2)
    assert len(world.notes("orphaned")) == 2
    await world.until(lambda: not any(is_alive(int(note[3])) for note in world.notes("started")))


async def test_the_next_run_waits_for_what_a_killed_one_left(world, driver, tmp_path):
    driver.send_signal(signal.SIGKILL)
    driver.wait(SECONDS_MAX)

    lock = await claim_directory(tmp_path / "data", SystemClock(), SECONDS_MAX)

    try:
        assert len(world.notes("drained")) == 2
    finally:
        os.close(lock)


async def test_a_data_directory_in_use_is_refused_with_the_process_that_uses_it(world, driver, tmp_path):
    with pytest.raises(DirectoryTaken, match=f"in use by process {driver.pid}: stop it"):
        await claim_directory(tmp_path / "data", SystemClock(), SECONDS_MAX)

    driver.send_signal(signal.SIGTERM)
    assert driver.wait(SECONDS_MAX) == 0
    os.close(await claim_directory(tmp_path / "data", SystemClock(), 0))


async def test_ctrl_c_reaches_the_supervisor_alone_and_drains_in_order(world, driver):
    os.killpg(driver.pid, signal.SIGINT)

    assert driver.wait(SECONDS_MAX) == 0
    assert len(world.notes("asked")) == len(world.notes("drained")) == 2
    assert world.notes("orphaned") == []


def listener(port=0, **options):
    found = socket.socket()
    for name in options:
        found.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
    found.bind(("127.0.0.1", port))
    found.listen()
    return found


@pytest.mark.parametrize("options", [{}, {"SO_REUSEADDR": 1}, {"SO_REUSEADDR": 1, "SO_REUSEPORT": 1}])
def test_a_port_somebody_listens_on_is_refused_whatever_they_share(options):
    with listener(**options) as other:
        port = other.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is in use"):
            claim_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(PortTaken, match="cannot listen on"):
        claim_port("203.0.113.1", 7181)


def test_workers_share_the_port_that_is_held_and_the_holder_takes_no_connection():
    with claim_port("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        shared = {"SO_REUSEADDR": 1, "SO_REUSEPORT": 1}
        with listener(port, **shared) as first, listener(port, **shared) as second:
            first.setblocking(False)
            second.setblocking(False)
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
            taken = [accept_all(first), accept_all(second)]
            for client in clients:
                client.close()

    assert sum(taken) == 20


def accept_all(server):
    count = 0
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        try:
            server.accept()[0].close()
            count += 1
        except BlockingIOError:
            continue
    return count


def test_a_port_that_was_just_used_can_be_claimed_again():
    with claim_port("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with listener(port, SO_REUSEADDR=1, SO_REUSEPORT=1) as server:
            client = socket.create_connection(("127.0.0.1", port))
            server.accept()[0].close()  # the side that closes first keeps the connection for a minute
            client.close()

    claim_port("127.0.0.1", port).close()


def test_a_person_is_told_where_it_is():
    found = load({"port": "7181", "workers": "2", "host": "0.0.0.0"}, {}).settings

    text = welcome(found)

    assert "http://127.0.0.1:7181" in text
    assert "curl http://127.0.0.1:7181/tokens" in text
    assert str(found.data_dir) in text
    assert "Ctrl-C" in text
