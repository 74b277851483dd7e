"""Functions: names of columns and tables, conditions, dates, errors, hints and secrets.

What they return as `Raw` goes into the query as it is, so each makes sure of every character: names are quoted or
checked, values go through `to_sql`, hints are words.

Source: templates.md §5.3, §5.4, §7.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from gateway.schema.names import quote_identifier
from gateway.templates.errors import AuthorError, CustomError, TemplateError
from gateway.templates.operators import text_of
from gateway.templates.run import Run, items_of, weigh
from gateway.templates.typed import given
from gateway.templates.values import Missing, Raw, to_sql, unescaped

_PLACEHOLDER: Final = "placeholder"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?")
_HINT: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")

_TTL_SECONDS: Final = {"5s": 5, "1m": 60, "5m": 300, "30m": 1800, "1h": 3600}
_ACTIVATE: Final = ("analyzer", "parallel_replicas", "optimize_aggregation_in_order")
_DISABLE: Final = ("analyzer",)

_OPERANDS: Final = {"in": "in", "not_in": "not in", "gt": ">", "lt": "<", "gte": ">=", "lte": "<="}

_BODY_CHARS_MAX: Final = 64 * 1024
_FORMAT_CHARS_MAX: Final = 64


def name_text(run: Run, value: Any) -> str:
    """Return `value`, meant for a name, as text.

    Raises:
        TemplateError: it has control characters.
    """
    text = text_of(run, value)
    if _CONTROL.search(text):
        raise TemplateError(f"{text[:64]!r} cannot be a name: it has control characters")
    return text


def _quoted_name(run: Run, value: Any) -> str:
    return quote_identifier(name_text(run, value).replace('"', ""))


def _symbol(run: Run, value: Any, /, **_documentation: Any) -> Any:
    return _typed_symbol(run, value)


def _typed_symbol(run: Run, value: Any, fallback: Any = None, /, *_more: Any, defined: Any = True, **named: Any) -> Any:
    found = given(run, value, named.get("default", fallback), defined, _PLACEHOLDER)
    return None if found is None else Raw(_quoted_name(run, found))


def _column(run: Run, value: Any, /, default: Any = None, **_documentation: Any) -> Raw:
    if isinstance(value, Missing) or value is None:
        value = default
    if value is None or isinstance(value, Missing):
        raise TemplateError("Missing column() default value, use `column(column_name, 'default_column_name')`")
    return Raw(".".join([quote_identifier(part) for part in name_text(run, value).split(".")]))


def _columns(run: Run, value: Any, /, default: Any = None, fn: Any = None, **_documentation: Any) -> Raw:
    if isinstance(value, Missing) or value is None:
        value = default
    if value is None or isinstance(value, Missing):
        raise TemplateError("Missing columns() default value, use `columns(column_names, 'default_column_name')`")
    if isinstance(value, list | tuple):
        raise TemplateError("The 'columns' function expects a String not an Array")
    names = [name.strip() for name in name_text(run, value).split(",")]
    if fn is None:
        return Raw(",".join([quote_identifier(name) for name in names]))
    call = text_of(run, fn)
    if not _WORD.fullmatch(call):
        raise TemplateError(f"'{call[:64]}' is not the name of a function")
    return Raw(",".join([f"{call}({quote_identifier(name)}) as {_alias(name)}" for name in names]))


def _alias(name: str) -> str:
    return name if _WORD.fullmatch(name) else quote_identifier(name)


# Words that are values wherever they stand, so no name of a table unless it is quoted.
_CONSTANTS: Final = frozenset({"null", "true", "false", "nan", "inf", "infinity"})


def _table(run: Run, value: Any, /) -> Raw:
    if isinstance(value, Missing):
        run.placeholder(value)
        return Raw(_PLACEHOLDER)
    text = text_of(run, value)
    if not _TABLE.fullmatch(text) or text.lower() in _CONSTANTS:
        raise TemplateError(f"'{text[:64]}' is not the name of a table")
    return Raw(text)


def _defined(run: Run, value: Any = None, /) -> bool:
    del run
    return not isinstance(value, Missing)


def _split_to_array(run: Run, value: Any, /, default: Any = "", separator: Any = ",", **_documentation: Any) -> Any:
    found = default if isinstance(value, Missing) or value is None else value
    if isinstance(found, Missing):
        run.placeholder(found)
        found = ""
    if isinstance(found, str):
        by = text_of(run, separator)
        run.charge(len(found) >> 4)
        return [item.strip() for item in str(found).split(by)]
    return [text_of(run, item).strip() for item in items_of(run, found)]


def _enumerate_with_last(run: Run, values: Any, /) -> list[Any]:
    items = items_of(run, values)
    return [(place == len(items), item) for place, item in enumerate(items, 1)]


def _sql_and(run: Run, /, **conditions: Any) -> Raw:
    parts = []
    for key, value in conditions.items():
        name, found, operand = key.rpartition("__")
        if not found:
            name, operand = key, ""
        elif operand not in _OPERANDS:
            raise TemplateError(f"operand {operand} not supported")
        if isinstance(value, Missing):
            run.placeholder(value)
        elif value is not None:
            run.charge(1)
            parts.append(f"{name} {_OPERANDS.get(operand, '=')} {to_sql(value, key)}")
    return Raw(" and ".join(parts))


def _sql_unescape(run: Run, value: Any, /, what: Any = "") -> Any:
    if isinstance(value, Missing):
        return run.placeholder(value)
    return None if value is None else Raw(unescaped(text_of(run, value), text_of(run, what)))


def _error(run: Run, message: Any, /) -> Raw:
    if not run.is_check:
        raise AuthorError(text_of(run, message))
    return Raw("")


def _custom_error(run: Run, body: Any, /, code: Any = 400) -> Raw:
    if run.is_check:
        return Raw("")
    if not isinstance(code, int) or not 400 <= code <= 599:
        raise TemplateError("custom_error() takes a status between 400 and 599")
    if isinstance(body, Missing):
        raise run.absent(body)
    weigh(run, body)
    try:
        error = CustomError(body, int(code))
    except TypeError:
        raise TemplateError("the first argument of custom_error() cannot be written as JSON") from None
    if len(error.body) > _BODY_CHARS_MAX:
        raise TemplateError("the first argument of custom_error() is too long")
    raise error


def _day_diff(run: Run, first: Any, second: Any, /) -> int:
    return _difference(run, "day_diff", 86400, "%Y-%m-%d", first, second) or 0


def _date_diff(name: str, seconds: int, format_: str) -> Callable[..., Any]:
    def function(
        run: Run,
        first: Any,
        second: Any,
        /,
        date_format: Any = format_,
        backup_date_format: Any = None,
        none_if_error: Any = False,
    ) -> int | None:
        formats = [text_of(run, each) for each in (date_format, backup_date_format) if each]
        try:
            return _difference(run, name, seconds, formats[0], first, second, *formats[1:])
        except TemplateError:
            if none_if_error:
                return None
            raise

    return function


def _difference(
    run: Run, name: str, seconds: int, format_: str, first: Any, second: Any, backup: str | None = None
) -> int:
    moments = []
    for value in (first, second):
        if isinstance(value, Missing):
            run.placeholder(value)
            return 0
        moments.append(_moment(name, text_of(run, value), [format_, *([backup] if backup else [])]))
    return int(abs((moments[0] - moments[1]).total_seconds())) // seconds


def _moment(name: str, text: str, formats: list[str]) -> datetime:
    for format_ in formats:
        if len(format_) <= _FORMAT_CHARS_MAX and len(text) <= _FORMAT_CHARS_MAX:
            try:
                return datetime.strptime(text, format_).replace(tzinfo=None)  # noqa: DTZ007  both sides have none
            except (ValueError, re.error, OverflowError):
                pass
    wanted = {
        "%Y-%m-%d": "ISO format date YYYY-MM-DD, e.g. 2018-09-26",
        "%Y-%m-%d %H:%M:%S": "ISO format date YYYY-MM-DD HH:MM:SS, e.g. 2018-09-26 10:23:54",
    }.get(formats[0], f"in the format {formats[0][:_FORMAT_CHARS_MAX]}")
    raise TemplateError(f"invalid date format in function `{name}`, it must be {wanted}")


def _max_threads(run: Run, value: Any, /) -> Raw:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
        return Raw("-- max_threads: wrong argument\n")
    run.hints["max_threads"] = int(value)
    return Raw(f"-- max_threads {int(value)}\n")


def _cache_ttl(run: Run, value: Any, /) -> Raw:
    if not isinstance(value, str) or value not in _TTL_SECONDS:
        raise TemplateError(f"Invalid TTL cache expression, the valid ones are {', '.join(_TTL_SECONDS)}")
    run.hints["cache_ttl_seconds"] = _TTL_SECONDS[str(value)]
    return Raw(f"-- cache_ttl {value}\n")


def _backend_hint(run: Run, value: Any, /) -> Raw:
    if not value:
        return Raw("-- backend_hint: none\n")
    text = text_of(run, value)
    if not _HINT.fullmatch(text):
        raise TemplateError(f"'{text[:64]}' is not a valid 'backend_hint' argument")
    run.hints["backend_hint"] = text
    return Raw(f"-- backend_hint {text}\n")


def _switch(name: str, known: tuple[str, ...]) -> Callable[..., Raw]:
    def function(run: Run, value: Any, /) -> Raw:
        if not isinstance(value, str) or value not in known:
            raise TemplateError(f"'{text_of(run, value)[:64]}' is not a valid '{name}' argument")
        run.hints[name] = (*run.hints.get(name, ()), str(value))
        return Raw(f"-- {name} {value}\n")

    return function


def secret_name(name: Any) -> str:
    """Return the name of a secret.

    Raises:
        TemplateError: it is not one.
    """
    if type(name) is not str or not _WORD.fullmatch(name):
        raise TemplateError("tb_secret() takes the name of a secret in quotes: {{tb_secret('secret_name')}}")
    return name


def no_secret(name: str) -> str:
    """Return the sentence for a secret that is not there."""
    return (
        f"Cannot access secret '{name}'. Check the secret exists in the Workspace and the token has the required scope."
    )


def _tb_secret(run: Run, name: Any, /, default: Any = None) -> Any:
    key = secret_name(name)
    if run.secrets is None and run.is_check:
        return Raw(f"{{{key}: String}}")
    value = (run.secrets or {}).get(key)
    if value is not None:
        run.bound[key] = value
        return Raw(f"{{{key}: String}}")
    if default is None:
        raise TemplateError(no_secret(key))
    return text_of(run, default)


# By the name a template calls them; all of them in `{{ }}` and in blocks.
HELPERS: Final[dict[str, Callable[..., Any]]] = {
    "Column": _typed_symbol,
    "Symbol": _typed_symbol,
    "symbol": _symbol,
    "column": _column,
    "columns": _columns,
    "table": _table,
    "TABLE": _table,
    "defined": _defined,
    "split_to_array": _split_to_array,
    "enumerate_with_last": _enumerate_with_last,
    "sql_and": _sql_and,
    "sql_unescape": _sql_unescape,
    "error": _error,
    "custom_error": _custom_error,
    "day_diff": _day_diff,
    "date_diff_in_days": _date_diff("date_diff_in_days", 86400, "%Y-%m-%d"),
    "date_diff_in_hours": _date_diff("date_diff_in_hours", 3600, "%Y-%m-%d %H:%M:%S"),
    "date_diff_in_minutes": _date_diff("date_diff_in_minutes", 60, "%Y-%m-%d %H:%M:%S"),
    "date_diff_in_seconds": _date_diff("date_diff_in_seconds", 1, "%Y-%m-%d %H:%M:%S"),
    "max_threads": _max_threads,
    "cache_ttl": _cache_ttl,
    "backend_hint": _backend_hint,
    "activate": _switch("activate", _ACTIVATE),
    "disable": _switch("disable", _DISABLE),
    "tb_secret": _tb_secret,
    "tb_var": _tb_secret,
}

SECRETS: Final = frozenset({"tb_secret", "tb_var"})
