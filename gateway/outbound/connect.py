"""Connect: one GET to one checked address.

The host of a URL is resolved once. Every address it leads to must be permitted, and only these are connected to: the
name is not looked up again, so an answer that changes in between (DNS rebinding) changes nothing. Proxies, cookies,
`.netrc` and redirects are not followed; what a URL says of a user goes to that host only.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorSSLError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.outbound.address import AllowList, all_permitted
from gateway.outbound.errors import FetchFailed, FetchRefused

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""From a host and port to the addresses it leads to, in text; OSError or UnicodeError if there is none."""

_URL_LENGTH_MAX: Final = 16 * 1024
_CONNECT_SECONDS_MAX: Final = 10.0
_BUFFER_BYTES: Final = 256 * 1024
# Signed URLs in a Location are long.
_HEADER_BYTES_MAX: Final = 32 * 1024


async def system_resolve(host: str, port: int) -> list[str]:
    """Ask the operating system; see `Resolve`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def parse_url(text: str, base: URL | None = None) -> URL:
    """Return the URL that `text` is, relative to `base` if there is one.

    Raises:
        FetchRefused: it is no http(s) URL.
    """
    text = text.strip()
    if len(text) > _URL_LENGTH_MAX:
        raise FetchRefused(f"The URL is longer than {_URL_LENGTH_MAX} characters")
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise FetchRefused("The URL has control characters in it")
    try:
        # One that needs no quoting is sent as it is: it may be signed.
        url = URL(text, encoded=text.isascii() and " " not in text)
        if base is not None:
            url = base.join(url)
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and bool(url.port)
    except ValueError:
        usable = False
    if not usable:
        raise FetchRefused("The URL must be a whole one, such as https://example.com/file.csv, with http or https")
    return url


@asynccontextmanager
async def get(
    url: URL, headers: Mapping[str, str], *, allow: AllowList, resolve: Resolve, answer_seconds_max: float
) -> AsyncIterator[ClientResponse]:
    """Ask for `url`, and give the answer as soon as its head is here; its body is not decompressed.

    Raises:
        FetchRefused: it leads to an address that is not permitted, or its certificate is not trusted.
        FetchFailed: no answer, or none in `answer_seconds_max`.
    """
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(answer_seconds_max):
                addresses = await _addresses(url, allow, resolve)
                session = await stack.enter_async_context(_session(addresses))
                response = await stack.enter_async_context(
                    session.get(url, headers=headers, allow_redirects=False, max_redirects=0)
                )
        except TimeoutError as error:
            raise FetchFailed(f"The URL did not answer in {answer_seconds_max:g} seconds") from error
        except (ClientConnectorCertificateError, ClientConnectorSSLError) as error:
            raise FetchRefused(
                "No secure connection to the URL's host: its certificate or protocol is no good"
            ) from error
        except InvalidURL as error:
            raise FetchRefused("The URL's host or path is not valid") from error
        except (ClientError, HttpProcessingError, OSError, ValueError) as error:
            raise FetchFailed("The URL's host cannot be reached, or does not speak HTTP") from error
        yield response


async def _addresses(url: URL, allow: AllowList, resolve: Resolve) -> list[str]:
    host, port = url.raw_host or "", url.port or 0
    try:
        addresses = await resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise FetchFailed("The URL's host is not known; check its spelling") from error
    if not all_permitted(allow, host, port, addresses):
        raise FetchRefused(
            "The URL leads to an address that is not on the public internet; the operator of this gateway can permit "
            "its host with the setting outbound_allow"
        )
    return addresses


def _session(addresses: list[str]) -> ClientSession:
    known = {ip_address(address) for address in addresses}

    def checked_socket(info: tuple[Any, ...]) -> socket.socket:
        """Open the socket of a connection; the last place where a wrong address can be seen."""
        family, kind, protocol, _, sockaddr = info
        if ip_address(sockaddr[0]) not in known:
            raise OSError("not an address that was checked")
        return socket.socket(family, kind, protocol)

    connector = TCPConnector(
        resolver=_Pinned(addresses),
        use_dns_cache=False,
        force_close=True,
        limit=1,
        socket_factory=checked_socket,
    )
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS_MAX),
        read_bufsize=_BUFFER_BYTES,
        max_line_size=_HEADER_BYTES_MAX,
        max_field_size=_HEADER_BYTES_MAX,
    )


class _Pinned(AbstractResolver):
    """Knows one answer, whatever it is asked."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002  aiohttp's interface
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        return None
