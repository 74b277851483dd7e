"""Template: compiled once, rendered often.

    template = compile_template("% SELECT {{Int32(n, 1)}}")
    template.render({"n": "2"}, secrets={}, now=clock.now()).sql  ->  " SELECT toInt32('2')"

What is not a template, because its first character is no `%`, is rendered as it is.

Source: templates.md §1, §6, §8.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

from gateway.templates.blocks import PYTHON_ERRORS, BlockCompiler, Execute, as_template_error
from gateway.templates.errors import LimitExceeded, TemplateError
from gateway.templates.lexer import pieces
from gateway.templates.parameters import RESERVED, UNUSABLE, Usage, merge_metadata, usage_of
from gateway.templates.run import DEPTH_MAX, ITEMS_MAX, Hints, Run
from gateway.templates.typed import preprocessed

# What a client may send for a parameter: text, or what a JSON body holds.
Value = str | int | float | bool | Sequence[Any] | Mapping[str, Any] | None

_CACHE_ENTRIES_MAX: Final = 1024
# A character of a template costs up to some 60 bytes once compiled.
_CACHE_CHARS_MAX: Final = 1024 * 1024
_TIMESTAMP: Final = "job_timestamp"
# What makes more of a value than a literal: blocks, and functions that write names or conditions.
_SHAPING: Final = re.compile(r"\{%|\b(?:columns?|symbol|table|sql_and|tb_var)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """SQL made of a template.

    Attributes:
        sql: no value of a secret is in it.
        secrets: by name, what stands for `{name: String}` in the SQL: send each as `param_<name>`.
        hints: what the template asks of whoever runs it.
    """

    sql: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    hints: Hints = field(default_factory=Hints)


class Template:
    """A compiled template; it has no state, so one serves every thread."""

    def __init__(self, text: str) -> None:
        """Compile `text`.

        Raises:
            TemplateError: it cannot be compiled.
        """
        self._text = text
        self.is_template = text.lstrip()[:1] == "%"
        self._body: Execute | None = None
        self._usage = Usage()
        self._arrays: dict[str, str] = {}
        if not self.is_template:
            return
        try:
            compiler = BlockCompiler(pieces(text.replace("%", "", 1)))
            self._body = compiler.template()
            self._usage = usage_of(compiler.parts)
        except RecursionError as error:
            raise as_template_error(error) from None
        found = self._usage.parameters.values()
        self._arrays = {each.name: each.array_type for each in found if each.array_type}
        self._without_default = [each.name for each in found if not each.has_default]

    def parameters(self) -> list[dict[str, Any]]:
        """Return what is known of each parameter: name, type, default, and what its author wrote about it."""
        return [dict(each.metadata) for each in self._usage.parameters.values()]

    def missing_required(self, params: Mapping[str, Value]) -> list[str]:
        """Return the parameters marked `required=True` that are not in `params`; an empty text counts as sent.

        Rendering takes their defaults. An endpoint refuses the request instead (templates.md §5.1).
        """
        return [
            each.name for each in self._usage.parameters.values() if each.is_required and params.get(each.name) is None
        ]

    @property
    def has_one_shape(self) -> bool:
        """Whether its SQL is the same for all parameters but for the values in it; False if that is not certain."""
        return not (self.is_template and _SHAPING.search(self._text))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of the secrets it uses, in order."""
        return tuple(self._usage.secrets)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about parameters whose name the server reads itself."""
        return tuple(
            f'"{name}" is a reserved name: the server reads it, line {each.line}'
            for name, each in self._usage.parameters.items()
            if name in RESERVED
        )

    def render(self, params: Mapping[str, Value], *, secrets: Mapping[str, str] | None = None, now: float) -> Rendered:
        """Return the SQL for a request.

        Args:
            params: what was sent; several values of one name are a list. Names the template does not know are ignored.
            secrets: the workspace's, by name.
            now: seconds since 1970, for `job_timestamp`.

        Raises:
            TemplateError: a parameter is missing or wrong, the template fails, or it takes too much.
            CustomError: the template answers itself.
        """
        if self._body is None:
            return Rendered(self._text)
        return self._rendered(Run(secrets, self._without_default, is_check=False), params, now)

    def check(self, *, secrets: Mapping[str, str] | None = None, now: float) -> Rendered:
        """Return the SQL with placeholders for every parameter: what a deployment looks at.

        Args:
            secrets: None: placeholders stand for them too.
            now: seconds since 1970.

        Raises:
            TemplateError: the template fails whatever is sent, or takes parameters that cannot be sent.
        """
        if self._body is None:
            if "{{" in self._text and "}}" in self._text:
                raise TemplateError("The query uses {{ }}, so it should start with a % character")
            return Rendered(self._text)
        for each in self._usage.parameters.values():
            if each.name in UNUSABLE:
                raise _unusable(each.name, each.line)
        for name, line in self._usage.unnamed:
            if not name.isidentifier():
                raise _unusable(name, line)
        rendered = self._rendered(Run(secrets, self._without_default, is_check=True), {}, now)
        if not rendered.sql.strip():
            raise TemplateError("Template renders to an empty query without parameters")
        return rendered

    def _rendered(self, run: Run, params: Mapping[str, Value], now: float) -> Rendered:
        assert self._body is not None
        try:
            self._fill(run, params, now)
            self._body(run)
        except (RecursionError, *PYTHON_ERRORS) as error:
            raise as_template_error(error) from None
        return Rendered("".join(run.out), run.bound, Hints(**run.hints) if run.hints else _NO_HINTS)

    def _fill(self, run: Run, params: Mapping[str, Value], now: float) -> None:
        """Give the run the parameters it uses: scalars as text, lists and objects as copies."""
        for name in self._usage.names:
            value = params.get(name)
            if value is None:
                continue
            found = value if type(value) is str else _taken(run, value)
            kind = self._arrays.get(name)
            run.names[name] = found if kind is None else preprocessed(run, found, kind)
        if _TIMESTAMP in self._usage.names and _TIMESTAMP not in run.names:
            run.names[_TIMESTAMP] = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S")


_NO_HINTS: Final = Hints()


def compile_template(text: str) -> Template:
    """Return the template of `text`, compiled now or before.

    Raises:
        TemplateError: it cannot be compiled.
    """
    return _CACHE.template(text)


class _Cache:
    """The templates used last, as many as fit."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, Template] = OrderedDict()
        self._chars = 0

    def template(self, text: str) -> Template:
        """Return the template of `text`."""
        with self._lock:
            if (known := self._kept.get(text)) is not None:
                self._kept.move_to_end(text)
                return known
        made = Template(text)
        with self._lock:
            if text not in self._kept and len(text) <= _CACHE_CHARS_MAX:
                self._kept[text] = made
                self._chars += len(text)
                while self._chars > _CACHE_CHARS_MAX or len(self._kept) > _CACHE_ENTRIES_MAX:
                    self._chars -= len(self._kept.popitem(last=False)[0])
        return made


_CACHE: Final = _Cache()


def _taken(run: Run, value: Any, depth: int = 0) -> Any:
    """Return what was sent as a value of the template, the request's own left alone.

    Raises:
        LimitExceeded: it is too large or too deep.
    """
    if isinstance(value, str):
        return value
    if depth == 0 and isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > DEPTH_MAX or not isinstance(value, Mapping | Sequence) or len(value) > ITEMS_MAX:
        raise LimitExceeded("A parameter is nested too deeply or has too many items")
    run.charge(1 + (len(value) >> 3))
    if isinstance(value, Mapping):
        return {str(key): _taken(run, item, depth + 1) for key, item in value.items()}
    return [_taken(run, item, depth + 1) for item in value]


def _unusable(name: str, line: int) -> TemplateError:
    return TemplateError(f'"{name[:100]}" can not be used as a variable name, line {line}')


def parameters_of(templates: Sequence[Template]) -> list[dict[str, Any]]:
    """Return the parameters of several templates, the nodes of one pipe, each name once."""
    merged: dict[str, dict[str, Any]] = {}
    for template in templates:
        for each in template.parameters():
            name = each["name"]
            merged[name] = merge_metadata(merged[name], each) if name in merged else each
    return list(merged.values())
