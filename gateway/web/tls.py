"""TLS: the certificate we show, and that it can be renewed while we run."""

import ssl
from collections.abc import Callable
from pathlib import Path


class Certificate:
    """A certificate with its key, in files that somebody may replace."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both.

        Raises:
            OSError: one cannot be read.
            ssl.SSLError: they are no certificate with its key.
        """
        self._certificate = certificate
        self._key = key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._stamp()
        self.context.load_cert_chain(certificate, key)

    def renew(self, warn: Callable[[Exception], None]) -> bool:
        """Read the files again if they changed: connections from now on are shown what is in them.

        If they cannot be read, the old certificate stays and `warn` hears why, once for each state of the files.
        """
        try:
            now = self._stamp()
            if now == self._seen:
                return False
            self._seen = now
            # Checked apart first: a context that was given a certificate without its key keeps it.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except OSError as error:  # SSLError is one
            warn(error)
            return False
        return True

    def expires_at(self) -> float:
        """Return when the certificate in the file expires, Unix time."""
        from cryptography import x509  # noqa: PLC0415  not before it is needed

        found = x509.load_pem_x509_certificates(self._certificate.read_bytes())
        return found[0].not_valid_after_utc.timestamp()

    def _stamp(self) -> tuple[int, ...]:
        found = (self._certificate.stat(), self._key.stat())
        return tuple(number for each in found for number in (each.st_mtime_ns, each.st_ino, each.st_size))
