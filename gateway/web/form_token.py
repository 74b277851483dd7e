"""Form token: a token that is a field of a form in the body, for those who put everything there (common.md §2).

It is looked for where neither a header nor the URL has one, and in small forms only: a stranger's body is not read on.
"""

import re
from typing import Final

from aiohttp.streams import StreamReader
from aiohttp.web import BaseRequest

from gateway.core.errors import InvalidRequest
from gateway.web.body import read_body
from gateway.web.target import Params, parse_form

FORM_BYTES_MAX: Final = 64 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
# Bounded everywhere, so that no body makes it look twice at much of it.
_PART: Final = re.compile(
    rb'content-disposition:[^\r\n]{0,200};[ \t]{0,9}name="?token"?[ \t]{0,9}\r\n(?:[^\r\n]{1,200}\r\n){0,4}\r\n'
    rb"([^\r\n]{1,16384})\r\n--",
    re.IGNORECASE,
)


async def token_in_form(raw: BaseRequest) -> str:
    """Return the token in the body of a request, "" if there is none; whoever reads the body next has all of it.

    Raises:
        InvalidRequest: the body broke off.
    """
    kind, length = raw.headers.get("Content-Type", "").partition(";")[0].strip().lower(), raw.content_length
    if kind not in (_FORM, _MULTIPART) or not length or length > FORM_BYTES_MAX or "Content-Encoding" in raw.headers:
        return ""
    body = await read_body(raw, FORM_BYTES_MAX)
    again = StreamReader(raw.protocol, FORM_BYTES_MAX)
    again.feed_data(body)
    again.feed_eof()
    raw._payload = again  # noqa: SLF001  nothing public gives back what was read
    raw._cache["content"] = again  # noqa: SLF001
    if kind == _MULTIPART:
        found = _PART.search(body)
        return found[1].decode("latin-1").strip() if found else ""
    try:
        return Params(parse_form(body.decode())).get("token")
    except (UnicodeDecodeError, InvalidRequest):
        return ""  # SQL as it is, say; the handler says more
