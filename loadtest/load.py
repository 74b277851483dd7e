"""Load: a user story against a gateway that is started for it, or against one that runs.

    python loadtest/load.py                              steady, with k6, for 30 seconds
    python loadtest/load.py spike gzip --seconds 60
    python loadtest/load.py all --seconds 20             every story in turn
    python loadtest/load.py mixed --tool locust
    python loadtest/load.py soak --seconds 28800 --url https://gateway.example --token p.…

Numbers and a page for each go to loadtest/results/load-<story>-<tool>.json and .html.

Stories: steady, ramp, spike, soak, mixed, sources, gzip, browser. The exit code is 1 if a threshold of a story does not
hold. The tools come from loadtest/.venv (see requirements.txt) or from PATH.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from processes import TOKEN, Failed, Gateway

_HERE = Path(__file__).parent
STORIES = ("steady", "ramp", "spike", "soak", "mixed", "sources", "gzip", "browser")
# k6 draws its page itself; it shall not listen for visitors.
_DASHBOARD = {"K6_WEB_DASHBOARD": "true", "K6_WEB_DASHBOARD_PORT": "-1", "K6_WEB_DASHBOARD_PERIOD": "1s"}
_SPARE_SECONDS = 600.0  # for what a tool does before and after


def find(tool: str) -> str:
    """Return where a tool is.

    Raises:
        Failed: it is not installed; says how to.
    """
    for place in (_HERE / ".venv/bin" / tool, Path(sys.executable).with_name(tool)):
        if place.exists():
            return str(place)
    found = shutil.which(tool)
    if found is None:
        raise Failed(f"{tool} is not installed. Its environment:\n"
                     "  python -m venv loadtest/.venv && loadtest/.venv/bin/pip install -r loadtest/requirements.txt")  # fmt: skip
    return found


def command(tool: str, story: str, url: str, users: int, seconds: int, out: Path) -> list[str]:
    """Return how to run a story; numbers go to `out` as .json, k6's page is asked for in `_DASHBOARD`."""
    if tool == "k6":
        summary = ["--summary-export", str(out.with_suffix(".json"))]
        return [find("k6"), "run", "--quiet", "--no-usage-report", *summary, str(_HERE / "k6" / f"{story}.js")]
    run = [find("locust"), "-f", str(_HERE / "locustfile.py"), "--host", url, "--headless", "--only-summary",
           "--html", str(out.with_suffix(".html")), "--json-file", str(out)]  # fmt: skip
    if story in {"ramp", "spike"}:  # the file says how many users there are, and when it ends
        return run
    return [*run, "-u", str(users), "-r", str(users), "-t", f"{seconds}s"]


def _without_token(summary: Path) -> None:
    """Take out of k6's summary what the setup of a story made: the token is in it."""
    if summary.exists() and isinstance(found := orjson.loads(summary.read_bytes()), dict):
        found.pop("setup_data", None)
        summary.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("stories", nargs="*", default=["steady"], metavar="STORY")
    arguments.add_argument("--tool", choices=["k6", "locust"], default="k6")
    arguments.add_argument("--seconds", type=int, default=30)
    arguments.add_argument("--users", type=int, default=20, help="at once; a spike has ten times as many")
    arguments.add_argument("--rate", type=int, help="requests a second, of steady and soak with k6")
    arguments.add_argument("--sources", type=int, default=100, help="data sources of the story of that name")
    arguments.add_argument("--url", help="of a gateway that runs; none is started")
    arguments.add_argument("--token", default="", help="that may make data sources and append; default: ask /tokens")
    arguments.add_argument("--out", type=Path, default=_HERE / "results", help="where results go, as JSON and HTML")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    stories = STORIES if given.stories == ["all"] else given.stories
    if unknown := set(stories) - set(STORIES):
        arguments.error(f"no such story: {', '.join(unknown)}; there are {', '.join(STORIES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    try:
        with ExitStack() as stack:
            url, token = given.url, given.token
            if not url:
                directory = Path(stack.enter_context(TemporaryDirectory(prefix="sluice-load-")))
                gateway = Gateway(directory, directory / "data", None)
                stack.callback(gateway.stop)
                url, token = f"http://127.0.0.1:{gateway.port}", TOKEN
            for story in stories:
                print(f"\n=== {story}, {given.seconds} s, {given.tool} ===", flush=True)
                told = {
                    "SLUICE_URL": url,
                    "SLUICE_STORY": story,
                    "SECONDS": str(given.seconds),
                    "VUS": str(given.users),
                }
                told |= {"SOURCES": str(given.sources)} if story == "sources" else {}
                told |= {"SLUICE_TOKEN": token} if token else {}
                told |= {"RATE": str(given.rate)} if given.rate else {}
                out = given.out.absolute() / f"load-{story}-{given.tool}"
                if given.tool == "k6":
                    told |= _DASHBOARD | {"K6_WEB_DASHBOARD_EXPORT": str(out.with_suffix(".html"))}
                run = command(given.tool, story, url, given.users, given.seconds, out)
                done = subprocess.run(run, env=os.environ | told, check=False, timeout=given.seconds + _SPARE_SECONDS)
                _without_token(out.with_suffix(".json"))
                if done.returncode:
                    failed.append(story)
    except Failed as error:
        print(error, file=sys.stderr)
        return 2
    print("\nEvery threshold holds." if not failed else f"\nThresholds do NOT hold: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
