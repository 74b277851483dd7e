"""Parsing: how commands and their options come into the command line.

A command with actions, such as `sluice workspace ls`, is an entry of `_GROUPS` and a module of this package whose `run`
takes the options: settings, the action's arguments under their names, and `action`.
"""

import argparse
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from gateway.commands import ADOPT_HELP, DOWNGRADE_HELP
from gateway.config import DEFAULTS, SPECS, flag, format_value, variable

_SETTINGS_NOTE: Final = """\
Every option may also be in the environment, under the name shown, or in a TOML file under its own name with `_` for `-`
(batch_rows_max = 50000). The command line wins over the environment, the environment over the file.
A secret may be in a file of its own, which the environment names: SLUICE_SECRET_FILE=/run/secrets/secret.
Sizes: 64MiB, 10MB, 4096. Durations: 500ms, 1s, 5m, 2.5. Booleans: on, off."""

_CATALOG_SETTINGS: Final = ("data_dir", "database_url", "secret")


@dataclass(frozen=True, slots=True)
class _Group:
    """A command with actions, in the module of its name."""

    about: str
    settings: tuple[str, ...]
    actions: tuple[tuple[str, str, tuple[str, ...]], ...]  # name, what it does, its arguments


_GROUPS: Final[Mapping[str, _Group]] = {
    "log": _Group(
        "Look into write-ahead logs; adopt those of a lost node.",
        (),
        (
            ("inspect", "List segments and frames; changes nothing.", ("DIR",)),
            ("verify", "Read everything, change nothing; exit code 1 if something is damaged.", ("DIR",)),
            ("adopt", "Put into ClickHouse, each row once, what a lost node still owes.", ("DIR",)),
        ),
    ),
    "metadata": _Group(
        "The layout of the metadata database: which revision it has, and the way up and down.",
        _CATALOG_SETTINGS,
        (
            ("status", "Show its revision; exit code 1 if this version cannot use it as it is.", ()),
            (
                "upgrade",
                "Make the tables, or what they lack. Every start does so too; here it is a step of its own.",
                (),
            ),
            (
                "downgrade",
                "Go back to revision REV, said twice, for an earlier version. What later revisions brought is lost.",
                ("REV", "REV-AGAIN"),
            ),
        ),
    ),
    "workspace": _Group(
        "Workspaces and their limits, beside a gateway that runs or not.",
        _CATALOG_SETTINGS,
        (
            ("ls", "List the workspaces with their limits.", ()),
            ("create", "Make a workspace, and show its admin token.", ("NAME", "LIMIT=N")),
            ("drop", "Drop a workspace with all that is in it, for good: its name, twice.", ("NAME", "NAME-AGAIN")),
            (
                "limit",
                "Set limits of a workspace, or of one token of it: `LIMIT@TOKEN=N`; `LIMIT=` for none of its own.",
                ("NAME", "LIMIT=N"),
            ),
        ),
    ),
}

# Actions with a module of their own: its name, their settings, and what there is to say about them.
_OWN: Final[Mapping[tuple[str, str], tuple[str, tuple[str, ...], str]]] = {
    ("metadata", "downgrade"): ("metadata", _CATALOG_SETTINGS, DOWNGRADE_HELP),
    ("log", "adopt"): (
        "adopt",
        (
            *(*_CATALOG_SETTINGS, "clickhouse_url", "clickhouse_user", "clickhouse_password"),
            *("clickhouse_cluster", "clickhouse_insert_quorum"),
        ),
        ADOPT_HELP,
    ),
}
_ABOUT: Final = {"DIR": "a data directory, its `log`, or the log of one worker"}
_SEVERAL: Final = frozenset({"LIMIT=N"})


def add_groups(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands that have actions."""
    for name, group in _GROUPS.items():
        command = commands.add_parser(name, help=group.about, description=group.about, allow_abbrev=False)
        actions = command.add_subparsers(required=True, metavar="ACTION")
        for action, about, arguments in group.actions:
            module, settings, more = _OWN.get((name, action), (name, group.settings, ""))
            parser = add_command(actions, action, _runner(module), about, settings)
            parser.usage = " ".join([f"sluice {name} {action}", *(["[options]"] if settings else []), *arguments])
            parser.description = more or about
            for what in arguments:
                several = what in _SEVERAL
                parser.add_argument(
                    what, nargs="*" if several else None, default=[] if several else None, help=_ABOUT.get(what)
                )
            parser.set_defaults(action=action)


def refuse_unknown(command: argparse.ArgumentParser, unknown: Sequence[str]) -> None:
    """End with exit code 2 and a sentence if there are words that `command` did not take."""
    if unknown:
        word = unknown[0].partition("=")[0]
        close = difflib.get_close_matches(word, re.findall(r"--[a-z-]+", command.format_help()), n=1)
        command.error(
            f"{word} is not an option; " + (f"did you mean {close[0]}?" if close else f"see {command.prog} --help")
        )


def _runner(module: str) -> Callable[[Mapping[str, Any]], int]:
    """Return what runs the command in `module`, and loads its code only then."""

    def run(options: Mapping[str, Any]) -> int:
        found: int = import_module(f"gateway.commands.{module}").run(options)
        return found

    return run


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[Mapping[str, Any]], int],
    text: str,
    settings: Sequence[str] | Mapping[str, object],
) -> argparse.ArgumentParser:
    """Add a command with the options of `settings`; return it."""
    command = commands.add_parser(
        name,
        usage=f"sluice {name} [options]" if settings else None,
        help=text,
        description=text,
        epilog=_SETTINGS_NOTE if settings else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    command.set_defaults(run=run, parser=command)
    if settings:
        command.add_argument("--config", metavar="FILE", help="TOML file with settings  SLUICE_CONFIG")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in settings:
        spec = SPECS[setting]
        group = groups.get(spec.group) or command.add_argument_group(spec.group)
        groups[spec.group] = group
        default = spec.default_text or format_value(spec, getattr(DEFAULTS, setting))
        about = f"{spec.help} [{default}]  {variable(setting)}".replace("%", "%%")
        is_switch = spec.kind == "boolean"
        group.add_argument(
            flag(setting),
            dest=setting,
            metavar="|".join(spec.choices) or _METAVARS[spec.kind],
            help=about,
            nargs="?" if is_switch else None,
            const="on" if is_switch else None,
        )
    return command


_METAVARS: Final = {
    "text": "TEXT",
    "path": "PATH",
    "integer": "N",
    "size": "SIZE",
    "duration": "DURATION",
    "boolean": "on|off",
}
