"""deploy/Dockerfile, which nothing here can build: a linter's judgement, what it installs, and what it says of our program."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import orjson
import pytest

from deploy.rehearse.stack import ROOT, image_environment
from gateway.cli import _parser
from gateway.config import SPECS, load, variable

PATH = ROOT / "deploy" / "Dockerfile"
TEXT = PATH.read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(name):
    """Return what a file of requirements pins: version and number of hashes by name."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if re.match(r"[A-Za-z]", line)]
    found = (re.match(r"([\w.-]+)==(\S+)", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", each[1]).lower(): (each[2], each.string.count("--hash=sha256:")) for each in found}


def names(requirements):
    return {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", each)[0]).lower() for each in requirements}


def instructions(word):
    return re.findall(rf"^{word} (.*)$", TEXT, re.MULTILINE)


def stage(name):
    return re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


def test_the_linter_finds_nothing():
    linter = Path(sys.executable).with_name("hadolint")
    judged = subprocess.run([linter, "--format", "json", PATH], capture_output=True, text=True, check=False)

    assert orjson.loads(judged.stdout or "[]") == []
    assert judged.returncode == 0
    bad = subprocess.run(
        [linter, "-"], input="FROM python\nRUN pip install x\n", capture_output=True, text=True, check=False
    )
    assert "DL3006" in bad.stdout  # it can say no


@pytest.mark.parametrize(
    "name, extras", [("server", ["postgres", "otel"]), ("embedded", ["postgres", "otel", "embedded"])]
)
def test_an_image_installs_what_the_suite_passes_with_by_content(name, extras):
    """`make lock-images` writes the files anew."""
    image, lock = pinned(f"deploy/requirements/{name}.txt"), pinned("requirements.lock")
    asked = PROJECT["dependencies"] + [each for extra in extras for each in PROJECT["optional-dependencies"][extra]]

    assert names(asked) <= set(image)
    assert all(hashes for _, hashes in image.values())
    here = {package: version for package, (version, _) in image.items() if package in lock}
    assert here == {package: lock[package][0] for package in here}
    assert set(image) - set(lock) <= {"tzdata"}
    assert ("chdb" in image) == (name == "embedded")


def test_every_package_of_the_image_comes_by_its_hash_and_is_a_wheel():
    installs = re.findall(r"pip \S* ?\S* ?install [^&\n]*", TEXT)

    assert len(installs) == 4
    for each in installs:
        assert ("--require-hashes" in each and "--only-binary :all:" in each) or (
            "--no-index" in each and "--no-deps" in each
        )


def test_the_last_stage_is_the_server_and_has_no_engine():
    stages = re.findall(r"^FROM \S+ AS (\S+)", TEXT, re.MULTILINE)

    assert stages[-1] == "server"
    assert "embedded" not in stage("server")
    assert "embedded.txt" in stage("embedded-packages")
    assert "embedded" not in stage("server-packages")


def test_what_is_copied_is_there_and_is_not_ignored():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]

    assert copied
    for each in copied:
        assert (ROOT / each).exists()
        assert any(each == path or each.startswith(f"{path}/") for path in allowed), each


def test_the_environment_and_the_commands_of_the_image_are_those_of_our_program():
    environment = image_environment(PATH)
    assert set(environment) <= {variable(name) for name in SPECS}
    settings = load({}, environment).settings

    assert (settings.host, settings.log_format) == ("0.0.0.0", "json")
    assert instructions("VOLUME") == [str(settings.data_dir)]
    assert instructions("EXPOSE") == [str(settings.port)]
    assert orjson.loads(instructions("ENTRYPOINT")[0]) == ["sluice"]
    _parser().parse_args(orjson.loads(instructions("CMD")[0]))
    check = orjson.loads(instructions("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert check[0] == "sluice"
    _parser().parse_args(check[1:])
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_the_image_says_what_it_is_and_runs_as_nobody_in_particular():
    labels = set(re.findall(r"org\.opencontainers\.image\.([\w.]+)=", TEXT))
    assert labels >= {
        "title",
        "description",
        "licenses",
        "version",
        "revision",
        "created",
        "documentation",
        "base.name",
    }
    user, _, group = instructions("USER")[0].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    base = re.search(r"^ARG PYTHON_IMAGE=python:(\d+)\.(\d+)\.\d+-slim-\w+$", TEXT, re.MULTILINE)
    assert tuple(map(int, base.groups())) >= (3, 11)
    assert {line.partition(" AS ")[0] for line in instructions("FROM")} <= {
        "${PYTHON_IMAGE}", "base", "runtime", "server-packages",
    }  # fmt: skip
