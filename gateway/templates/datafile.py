"""Secrets in datafiles: `{{ tb_secret("NAME") }}` and `{{ tb_secret("NAME", "default") }}` in the text of a file.

No other expression, no blocks. A value goes into the text as it is: this is for files whose author may read the secret.

Source: templates.md §9.
"""

import re
from collections.abc import Mapping
from typing import Final

from gateway.templates.errors import TemplateError
from gateway.templates.functions import no_secret

_CALL: Final = re.compile(
    r"""\{\{\s*tb_secret\(\s*(['"])(?P<name>[A-Za-z_]\w*)\1\s*(?:,\s*(['"])(?P<default>[^'"\n]*)\3\s*)?\)\s*\}\}""",
    re.ASCII,
)
_ANY: Final = re.compile(r"\{\{[^\n]{0,80}")
_TEMPLATED_FREELY: Final = re.compile(r"^\s*(?:COPY_SCHEDULE|EXPORT_SCHEDULE)\b.*\{\{\s*tb_secret", re.IGNORECASE)
_EMPTY: Final = '""'


def datafile_secrets(text: str) -> list[tuple[str, bool]]:
    """Return the secrets a datafile names, in order, and whether each has a default."""
    return [(found["name"], found["default"] is not None) for found in _CALL.finditer(text)]


def render_datafile_secrets(text: str, secrets: Mapping[str, str], *, is_sink: bool = False) -> str:
    """Return the text of a `.datasource` or `.connection` file with its secrets in place.

    Args:
        text: the file.
        secrets: the workspace's, by name.
        is_sink: the text is the metadata of a sink, where an empty value is an error.

    Raises:
        TemplateError: a secret is not there, or `{{ }}` holds something else.
    """

    def value(found: re.Match[str]) -> str:
        name = found["name"]
        given = secrets.get(name, found["default"])
        if given is None:
            raise TemplateError(no_secret(name), prefix="")
        if not given and is_sink:
            raise TemplateError(
                f"Secret '{name}' resolves to an empty value and cannot be used in sink metadata.", prefix=""
            )
        return given or _EMPTY

    for number, line in enumerate(text.split("\n"), 1):
        if _TEMPLATED_FREELY.match(line):
            raise TemplateError(f"tb_secret cannot be used in a schedule, line {number}", prefix="")
        if other := _ANY.search(_CALL.sub("", line)):
            raise TemplateError(f"Only tb_secret can be used here, line {number}: {other[0]}", prefix="")
    return _CALL.sub(value, text)
