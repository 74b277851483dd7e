"""Parameters: what a template takes, read from its trees without running it.

A name is a parameter unless the template sets it first. Each use says something about it; the uses are merged, the one
that says most in front.

Source: templates.md §6.
"""

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.schema.lexer import words
from gateway.templates.blocks import Part
from gateway.templates.builtins import PYTHON
from gateway.templates.functions import SECRETS
from gateway.templates.typed import DOCUMENTING, TYPED

# Of these, the first argument is a parameter with a type; the others are in lower case and have none.
_TYPES: Final = frozenset({*TYPED, "Symbol", "Column"})
_WITH_DEFAULT: Final = frozenset({"column", "columns", "split_to_array"})
_TAKES_FUNCTIONS: Final = frozenset({"map", "filter", "isinstance"})
_SAFE_INTEGER: Final = 2**53 - 1

# A parameter of this name could never be sent.
UNUSABLE: Final = frozenset({"format", "q"})
# These the server reads itself; a template gets what is left of them.
RESERVED: Final = words("""
    __tb__csv_header __tb__semver debug_source_tables debug explain finalize_aggregations
    output_format_json_quote_64bit_integers output_format_json_quote_denormals output_format_parquet_string_as_string
    pipeline playground query_id release_replacements tag template_parameters token job_timestamp
    """)


@dataclass(slots=True)
class Parameter:
    """A parameter of a template.

    Attributes:
        name: as it is sent.
        line: 1-based line of its first use.
        metadata: what the wire says about it (`nodes[].params`, templates.md §6.3).
        has_default: a value stands for it when it is not sent.
        is_required: its author wrote `required=True` somewhere.
        array_type: of the elements, if its first typed use is `Array`.
    """

    name: str
    line: int
    metadata: dict[str, Any]
    has_default: bool = False
    is_required: bool = False
    array_type: str = ""


@dataclass(slots=True)
class Usage:
    """What a template uses.

    Attributes:
        parameters: by name, in the order of their first use.
        names: every name it reads, whether set before or not.
        secrets: names of the secrets, in order.
        unnamed: literals that stand where the name of a parameter should, with their lines.
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    secrets: list[str] = field(default_factory=list)
    unnamed: list[tuple[str, int]] = field(default_factory=list)


def usage_of(parts: Sequence[Part]) -> Usage:
    """Return what the expressions of a template use, in their order."""
    collector = _Collector()
    for part in parts:
        collector.line = part.line - 1
        collector.visit(part.tree, frozenset())
    return collector.usage


class _Collector:
    def __init__(self) -> None:
        self.usage = Usage()
        self.line = 0
        self._set: set[str] = set()

    def visit(self, node: ast.AST, local: frozenset[str]) -> None:
        """Note what `node` uses; `local` are names of lambdas and comprehensions around it."""
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                self._set.add(node.id)
            else:
                self._read(node, local)
        elif isinstance(node, ast.Call):
            self._call(node, local)
        elif isinstance(node, ast.Lambda):
            self.visit(node.body, local | {arg.arg for arg in [*node.args.posonlyargs, *node.args.args]})
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            self._comprehension(node, local)
        else:
            for child in ast.iter_child_nodes(node):
                self.visit(child, local)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, local: frozenset[str]
    ) -> None:
        for loop in node.generators:
            self.visit(loop.iter, local)
            local |= {found.id for found in ast.walk(loop.target) if isinstance(found, ast.Name)}
            for condition in loop.ifs:
                self.visit(condition, local)
        for element in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(element, local)

    def _read(self, node: ast.Name, local: frozenset[str], *, has_default: bool = False) -> None:
        if node.id in local:
            return
        self.usage.names.add(node.id)
        if node.id in self._set and node.id not in self.usage.parameters:
            return
        metadata = {"name": node.id, "type": "String", "default": None, "used_in": "function_call"}
        self._add(Parameter(node.id, self._line_of(node), metadata, has_default))

    def _call(self, node: ast.Call, local: frozenset[str]) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        rest: Iterable[ast.expr] = [*node.args, *(each.value for each in node.keywords)]
        if not name:
            self.visit(node.func, local)
        elif name not in TYPED and name in self._set:
            self.usage.names.add(name)
        if name in SECRETS and node.args and isinstance(node.args[0], ast.Constant):
            if node.args[0].value not in self.usage.secrets:
                self.usage.secrets.append(str(node.args[0].value))
        elif name in _TYPES and node.args and isinstance(node.args[0], ast.Name) and node.args[0].id not in local:
            self.usage.names.add(node.args[0].id)
            self._add(_typed(node, name, node.args[0].id, self._line_of(node)))
            rest = [*node.args[1:], *(each.value for each in node.keywords if each.arg not in DOCUMENTING)]
        elif name in _TYPES and node.args and isinstance(node.args[0], ast.Constant):
            self.usage.unnamed.append((str(node.args[0].value), self._line_of(node)))
        elif name in _WITH_DEFAULT and node.args and isinstance(node.args[0], ast.Name):
            self._read(node.args[0], local, has_default=_is_defaulted(node, name))
            rest = [*node.args[1:], *(each.value for each in node.keywords)]
        for argument in rest:
            is_function = isinstance(argument, ast.Name) and argument.id in PYTHON
            if not (is_function and (name in _TAKES_FUNCTIONS or argument not in node.args)):
                self.visit(argument, local)

    def _add(self, found: Parameter) -> None:
        known = self.usage.parameters.get(found.name)
        if known is None:
            self.usage.parameters[found.name] = found
            return
        known.metadata = merge_metadata(known.metadata, found.metadata)
        known.has_default |= found.has_default
        known.is_required |= found.is_required
        is_first_typed = "used_in" in known.metadata or not known.array_type
        if is_first_typed and found.array_type and known.metadata["type"].startswith("Array("):
            known.array_type = found.array_type

    def _line_of(self, node: ast.expr) -> int:
        return self.line + node.lineno


def _is_defaulted(node: ast.Call, name: str) -> bool:
    return len(node.args) > 1 or name == "split_to_array" or any(each.arg == "default" for each in node.keywords)


def _typed(node: ast.Call, kind: str, name: str, line: int) -> Parameter:
    """Return what a typed function says about its parameter."""
    positional = node.args[1:]
    named = {each.arg: each.value for each in node.keywords}
    element = ""
    if kind == "Array":
        first = named.get("type", positional[0] if positional else None)
        element = str(first.value) if isinstance(first, ast.Constant) else "String"
        positional = positional[1:]
        kind = f"Array({element})"
    metadata: dict[str, Any] = {"name": name, "type": kind}
    for key in ("description", "required", "enum", "example", "format"):
        if key in named and (value := _literal(named[key])) is not None:
            metadata[key] = value
    default = named.get("default", positional[0] if positional else None)
    metadata["default"] = _default(_literal(default)) if default is not None else None
    has_default = default is not None and not (isinstance(default, ast.Constant) and default.value is None)
    return Parameter(name, line, metadata, has_default, metadata.get("required") is True, element)


def merge_metadata(known: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Return what two uses of one parameter say together."""
    if ("used_in" in known) != ("used_in" in found):
        return found if "used_in" in known else known
    first, second = (found, known) if len(found) > len(known) else (known, found)
    merged = {**second, **first}
    if merged["default"] is None:
        merged["default"] = second["default"]
    return merged


def _literal(node: ast.expr) -> Any:
    """Return the value of a literal that JSON can hold; None for anything else."""
    try:
        return _plain(ast.literal_eval(node))
    except (ValueError, TypeError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    raise TypeError


def _default(value: Any) -> Any:
    """Return a default as JSON may show it: integers that a JavaScript number cannot hold are text."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return str(value)
    return value
