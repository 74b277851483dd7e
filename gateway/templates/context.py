"""Context: where in the SQL a value is about to stand.

A value that writes its own quotes is safe among words, and nowhere else. Where an author put quotes around it, it would
end them; in a comment, it could end the comment; behind a minus, a negative number would begin one. So the SQL is
followed as it is written, by the rules of the parser it goes to (`query/parse.py`), and a value is refused, or made
harmless, by the place it comes to.
"""

import re
from typing import Final

from gateway.templates.errors import TemplateError

# Where the SQL stands: among words, or in what began with this text. Comments nest, one `/*` for each level.
WORDS: Final = ""

_OPENER: Final = re.compile(r"'|\"|`|--|#|/\*|\$\w*\$", re.ASCII)
_QUOTED: Final = {
    quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+{quote}", re.DOTALL) for quote in ("'", '"', "`")
}  # the rest of a literal or a name
_COMMENT: Final = re.compile(r"/\*|\*/")
_UNESCAPED: Final = {quote: re.compile(rf"(?<!\\)(?:\\\\)*{quote}") for quote in ('"', "`")}


def after(state: str, text: str) -> str:
    """Return where the SQL stands behind `text`, which begins where `state` says."""
    start = 0
    while True:
        if state == WORDS:
            opener = _OPENER.search(text, start)
            if opener is None:
                return WORDS
            state, start = ("--" if opener[0] == "#" else opener[0]), opener.end()
        if state in _QUOTED:
            closed = _QUOTED[state].match(text, start)
            if closed is None:
                return state
            state, start = WORDS, closed.end()
        elif state.startswith("/*"):
            while state and (mark := _COMMENT.search(text, start)):
                state, start = state + "/*" if mark[0] == "/*" else state[2:], mark.end()
            if state:
                return state
        else:
            end = "\n" if state == "--" else state
            start = text.find(end, start) + len(end)
            if start < len(end):
                return state
            state = WORDS


def placed(state: str, text: str, source: str) -> str:
    """Return `text`, what an expression is written as, for a place that is not among words.

    Args:
        state: the place.
        text: it has no line breaks.
        source: the expression, for the error.

    Raises:
        TemplateError: the place is a literal or a name, and `text` could end it.
    """
    if state == "--":
        return text.replace("\n", " ")
    if state.startswith("/*"):
        return text.replace("/*", "/ *").replace("*/", "* /")
    if state in _UNESCAPED and not _UNESCAPED[state].search(text):
        return text
    if any(char in text for char in "'\"`\\$"):
        raise TemplateError(f"{{{{{source[:40]}}}}} writes its own quotes: remove those around it")
    return text
