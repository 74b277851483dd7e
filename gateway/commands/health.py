"""Health: `sluice health`: does the gateway or worker of this machine answer? For containers, which have no curl."""

import http.client
import ssl
from typing import Final

from gateway.commands import EXIT_FAILED, complain, say
from gateway.config import Settings

_SECONDS_MAX: Final = 3.0
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  what is listened on, not where


def ask(settings: Settings, path: str) -> int:
    """Ask for `path` where `settings` say that a gateway listens; say what came back, and return the exit code."""
    host = _LOOPBACK.get(settings.host, settings.host)
    connection = _connection(settings, host)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(1000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        complain(f"nobody answers at {host}, port {settings.port}: {error}")
        return EXIT_FAILED
    finally:
        connection.close()
    if answer.status != http.client.OK:
        complain(f"{path} answers {answer.status}: {said}")
        return EXIT_FAILED
    say(said + "\n")
    return 0


def _connection(settings: Settings, host: str) -> http.client.HTTPConnection:
    if not settings.tls_certificate:
        return http.client.HTTPConnection(host, settings.port, timeout=_SECONDS_MAX)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate names what clients call us, and nothing secret is sent
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, settings.port, timeout=_SECONDS_MAX, context=context)
