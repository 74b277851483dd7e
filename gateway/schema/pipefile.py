"""Pipe files: a pipe as a text file, read and written.

What is read here is a whole `.pipe` file; what is written can be read again and gives the same pipe. Node SQL is kept
as its author wrote it, but for the indent; whether it can be run is for who deploys the file.

Accepted beyond the published parser: `CACHE` of endpoints, which the SDKs write, and `ENGINE…` of materialized nodes,
which Classic files have.

Source: datafiles-and-deploy.md §2, §4; sinks.md §4.
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.schema.cron import is_cron
from gateway.schema.directives import (
    Directive,
    list_value,
    located,
    read_directives,
    text_value,
    written_block,
    written_item,
    written_value,
)
from gateway.schema.errors import SchemaError
from gateway.schema.lexer import words
from gateway.schema.names import check_resource_name

ON_DEMAND: Final = "@on-demand"

_ENGINE: Final = words("""
    ENGINE ENGINE_PARTITION_KEY ENGINE_SORTING_KEY ENGINE_PRIMARY_KEY ENGINE_SAMPLING_KEY ENGINE_TTL ENGINE_SETTINGS
    ENGINE_VER ENGINE_IS_DELETED ENGINE_COLUMNS ENGINE_SIGN ENGINE_VERSION
    """)
_EXPORT: Final = words("""
    EXPORT_CONNECTION_NAME EXPORT_BUCKET_URI EXPORT_FILE_TEMPLATE EXPORT_SCHEDULE EXPORT_FORMAT EXPORT_COMPRESSION
    EXPORT_STRATEGY EXPORT_WRITE_STRATEGY EXPORT_KAFKA_TOPIC
    """)
# Kind of node → the commands it may have beside DESCRIPTION, SQL and TYPE.
_COMMANDS_OF: Final[Mapping[str, frozenset[str]]] = {
    "standard": frozenset(),
    "endpoint": words("CACHE"),
    "materialized": words("DATASOURCE DEPLOYMENT_METHOD FILTER") | _ENGINE,
    "copy": words("TARGET_DATASOURCE COPY_SCHEDULE COPY_MODE ON_DEMAND_COMPUTE FILTER"),
    "sink": _EXPORT | words("FILTER"),
    "stream": words("FILTER"),
}
_REQUIRED: Final = {"materialized": "DATASOURCE", "copy": "TARGET_DATASOURCE"}
_IGNORED: Final = words("VERSION EXPORT_SERVICE FILTER MAINTAINER")
_SYNONYMS: Final = {"SCOPE": "NODE", "MODE": "COPY_MODE"}
_OF_FILE: Final = words("TOKEN TAGS VERSION MAINTAINER EXPORT_SERVICE")
_KNOWN: Final = (
    words("DESCRIPTION NODE SQL TYPE")
    | _OF_FILE
    | _SYNONYMS.keys()
    | frozenset().union(*_COMMANDS_OF.values())
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PipefileNode:
    """A node as its file describes it.

    Attributes:
        sql: without its indent; a template if it begins with `%`.
        kind: `standard`, `endpoint`, `materialized`, `copy`, `sink` or `stream`.
        datasource: where a materialized node writes to.
        deployment_method: `alter` or "", of a materialized node.
        engine: command and value of `ENGINE…` lines of a materialized node, in lower case, in order.
        target_datasource, copy_mode, copy_schedule: of a copy; the schedule is five fields of cron, "" on demand.
        on_demand_compute: of a copy.
        cache_seconds: how long the results of an endpoint may be kept; 0: not at all.
        exports: command and value of `EXPORT_…` lines of a sink, in lower case, in order.
        line: 1-based line of the file it begins in.
    """

    name: str
    sql: str
    description: str = ""
    kind: str = "standard"
    datasource: str = ""
    deployment_method: str = ""
    engine: tuple[tuple[str, str], ...] = ()
    target_datasource: str = ""
    copy_mode: str = "append"
    copy_schedule: str = ""
    on_demand_compute: bool = False
    cache_seconds: int = 0
    exports: tuple[tuple[str, str], ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Pipefile:
    """A pipe as its file describes it.

    Attributes:
        nodes: in order, at least one; at most one is not standard.
        tokens: names of the tokens that may read it.
        tags: as listed; an entry with `=` is a key and a value.
        warnings: sentences for who deploys it.
    """

    nodes: tuple[PipefileNode, ...]
    description: str = ""
    tokens: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def special(self) -> PipefileNode | None:
        """The node that is not standard, and makes the pipe what it is; None: only other queries can read it."""
        return next((node for node in self.nodes if node.kind != "standard"), None)


def parse_pipefile(text: str) -> Pipefile:
    """Return what a `.pipe` file says.

    Raises:
        SchemaError: with `at <line>:<position>` in its sentence.
    """
    heads: dict[str, Directive] = {}
    tokens: list[str] = []
    found: list[tuple[Directive, dict[str, Directive]]] = []
    directives = read_directives(text, _KNOWN, "pipe")
    for directive in directives:
        name = _SYNONYMS.get(directive.name, directive.name)
        _check_form(directive, name)
        if name == "TOKEN":
            tokens.append(_token(directive))
        elif name == "NODE":
            found.append((directive, {}))
        elif name in _OF_FILE or (name == "DESCRIPTION" and not found):
            _once(heads, name, directive)
        elif not found:
            raise located(f"{name} must follow a NODE", directive.line)
        else:
            _once(found[-1][1], name, directive)
    if not found:
        raise SchemaError("Pipe data file must have at least one node")
    return Pipefile(
        _nodes(found),
        description=text_value(heads.get("DESCRIPTION")),
        tokens=tuple(tokens),
        tags=list_value(heads.get("TAGS")),
        warnings=tuple(
            f"{item.name} has been deprecated and will be ignored." for item in directives if item.name in _IGNORED
        ),
    )


def render_pipefile(pipefile: Pipefile) -> str:
    """Return the text of a `.pipe` file that gives `pipefile` back.

    Raises:
        SchemaError: a name or value cannot be written on one line.
    """
    lines = written_block("DESCRIPTION", pipefile.description.splitlines())
    lines += [f"TOKEN {written_value(name, is_word=True)} READ" for name in pipefile.tokens]
    lines += [f"TAGS {written_value(', '.join(written_item(tag) for tag in pipefile.tags))}"] if pipefile.tags else []
    for node in pipefile.nodes:
        lines += [""] if lines and lines[-1] else []
        lines += [f"NODE {node.name}", *written_block("DESCRIPTION", node.description.splitlines())]
        lines += written_block("SQL", plain_sql(node.sql).split("\n"))
        lines += _settings(node)
    return "\n".join(lines).rstrip("\n") + "\n"


def plain_sql(sql: str) -> str:
    """Return SQL as a file gives it back: without an indent of all its lines, and without blank lines around it."""
    lines = textwrap.dedent(sql.replace("\r\n", "\n")).split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return textwrap.dedent("\n".join(lines)).rstrip()


def _check_form(directive: Directive, name: str) -> None:
    if directive.block is not None and name not in ("DESCRIPTION", "SQL"):
        raise located(f"{directive.name} does not support multiline arguments", directive.line)
    if directive.block is None and name == "SQL":
        raise located("SQL must be multiline (use >)", directive.line, excerpt=directive.rest[:120])


def _once(found: dict[str, Directive], name: str, directive: Directive) -> None:
    if name in found:
        raise located(f"{directive.name} is already defined in line {found[name].line}", directive.line)
    found[name] = directive


def _token(directive: Directive) -> str:
    if len(directive.words) != 2:
        raise located('TOKEN takes two arguments, TOKEN "name" READ', directive.line)
    name, permission = directive.words
    if permission.upper() != "READ":
        reason = f"Invalid permission {permission[:64]} for token {name[:64]}. Only READ is allowed for pipes"
        raise located(reason, directive.line)
    return name


def _nodes(found: list[tuple[Directive, dict[str, Directive]]]) -> tuple[PipefileNode, ...]:
    nodes: dict[str, PipefileNode] = {}
    for head, commands in found:
        try:
            check_resource_name(head.value, "Node")
        except SchemaError as error:
            raise located(error.reason, head.line) from None
        if head.value in nodes:
            raise located(f"Node '{head.value}' is already defined in line {nodes[head.value].line}", head.line)
        node = _node(head, commands)
        if node.kind != "standard" and any(other.kind != "standard" for other in nodes.values()):
            raise located("Multiple non-standard nodes in pipe. There can only be one", commands["TYPE"].line)
        nodes[node.name] = node
    return tuple(nodes.values())


def _node(head: Directive, commands: dict[str, Directive]) -> PipefileNode:
    name = head.value
    sql = plain_sql(commands["SQL"].block or "") if "SQL" in commands else ""
    if not sql:
        raise located(f"Node '{name}' has no SQL", commands["SQL"].line if "SQL" in commands else head.line)
    kind = commands["TYPE"].value.lower() if "TYPE" in commands else "standard"
    if kind not in _COMMANDS_OF:
        allowed = ", ".join(sorted(_COMMANDS_OF))
        reason = f"Invalid node ''{name}'' of type ({kind[:64]}). Allowed node types: {{{allowed}}}"
        raise located(reason, commands["TYPE"].line)
    values = {
        command: item.value for command, item in commands.items() if command not in ("SQL", "TYPE", "DESCRIPTION")
    }
    for command in values:
        if command not in _COMMANDS_OF[kind]:
            reason = f"{kind.capitalize()} node '{name}' has an invalid attribute ({command.lower()})"
            raise located(reason, commands[command].line)
    required = _REQUIRED.get(kind)
    if required is not None and not values.get(required):
        raise located(
            f"Some {kind} node params have been provided, but the following required ones are missing: "
            f"['{required.lower()}']",
            head.line,
        )
    if kind == "sink":
        _check_sink(name, values, head.line)
    return PipefileNode(
        name,
        sql,
        description=text_value(commands.get("DESCRIPTION")),
        kind=kind,
        datasource=values.get("DATASOURCE", ""),
        deployment_method=_choice(commands, "DEPLOYMENT_METHOD", ("alter",)),
        engine=_pairs(values, _ENGINE),
        target_datasource=values.get("TARGET_DATASOURCE", ""),
        copy_mode=_choice(commands, "COPY_MODE", ("append", "replace")) or "append",
        copy_schedule=_schedule(commands.get("COPY_SCHEDULE")),
        on_demand_compute=_choice(commands, "ON_DEMAND_COMPUTE", ("true", "false")) == "true",
        cache_seconds=_seconds(commands.get("CACHE")),
        exports=_pairs(values, _EXPORT),
        line=head.line,
    )


def _pairs(values: dict[str, str], names: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in values.items() if name in names)


def _choice(commands: dict[str, Directive], name: str, choices: tuple[str, ...]) -> str:
    directive = commands.get(name)
    if directive is None:
        return ""
    if directive.value.lower() not in choices:
        raise located(f"{name} takes only {' or '.join(choices)}", directive.line)
    return directive.value.lower()


def _schedule(directive: Directive | None) -> str:
    if directive is None or directive.value.lower() in (ON_DEMAND, ""):
        return ""
    if not is_cron(directive.value):
        raise located("COPY node schedule must be @on-demand or a valid cron expression.", directive.line)
    return " ".join(directive.value.split())


def _seconds(directive: Directive | None) -> int:
    if directive is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,7}", directive.value):
        raise located("CACHE takes a number of seconds", directive.line)
    return int(directive.value)


def _check_sink(name: str, values: dict[str, str], line: int) -> None:
    to_kafka = "EXPORT_KAFKA_TOPIC" in values
    if to_kafka and ("EXPORT_BUCKET_URI" in values or "EXPORT_FILE_TEMPLATE" in values):
        raise located(f"Sink node '{name}' writes either to Kafka or to a bucket", line)
    needed = ["EXPORT_CONNECTION_NAME", *([] if to_kafka else ["EXPORT_BUCKET_URI", "EXPORT_FILE_TEMPLATE"])]
    for command in [*needed, "EXPORT_SCHEDULE"]:
        if not values.get(command):
            raise located(f"Sink node '{name}' is missing required parameter '{command.lower()}'", line)


def _settings(node: PipefileNode) -> list[str]:
    """Return the lines behind the SQL of a node."""
    if node.kind == "standard":
        return []
    lines = [f"TYPE {node.kind}"]
    lines += [f"CACHE {node.cache_seconds}"] if node.cache_seconds else []
    lines += [f"DATASOURCE {node.datasource}"] if node.datasource else []
    lines += [f"DEPLOYMENT_METHOD {node.deployment_method}"] if node.deployment_method else []
    lines += [f"{name.upper()} {written_value(value)}" for name, value in [*node.engine, *node.exports]]
    if node.kind == "copy":
        lines += [f"TARGET_DATASOURCE {node.target_datasource}", f"COPY_SCHEDULE {node.copy_schedule or ON_DEMAND}"]
        lines += [f"COPY_MODE {node.copy_mode}"]
        lines += ["ON_DEMAND_COMPUTE true"] if node.on_demand_compute else []
    return lines
