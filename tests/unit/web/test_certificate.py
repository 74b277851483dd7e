"""A certificate that is replaced while we run is shown; one that cannot be read is not."""

import ssl

import pytest

from gateway.web.tls import Certificate
from tests.support.certificates import write_certificate


def shown_by(context):
    """Return the name in the certificate that a client of `context` sees."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    client = client_context.wrap_bio(pipes[0], pipes[1])
    server = context.wrap_bio(pipes[1], pipes[0], server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.getpeercert(binary_form=True)


def never(error):
    pytest.fail(str(error))


def test_a_new_certificate_is_shown_from_then_on(tmp_path):
    certificate = Certificate(*write_certificate(tmp_path, "old"))
    old = shown_by(certificate.context)
    assert not certificate.renew(never)

    write_certificate(tmp_path, "new")

    assert certificate.renew(never)
    assert shown_by(certificate.context) != old
    assert not certificate.renew(never)


@pytest.mark.parametrize("half", ["certificate", "key", "gone"])
def test_while_the_files_do_not_go_together_the_old_one_is_shown(tmp_path, half):
    paths = write_certificate(tmp_path, "old")
    certificate = Certificate(*paths)
    old = shown_by(certificate.context)
    fresh = write_certificate(tmp_path / "new", "new")
    whole = [path.read_bytes() for path in fresh]
    warnings = []

    if half == "gone":
        paths[1].unlink()
    else:
        which = ["certificate", "key"].index(half)
        paths[which].write_bytes(whole[which])
    assert not certificate.renew(warnings.append)
    assert len(warnings) == 1
    assert shown_by(certificate.context) == old

    for path, content in zip(paths, whole, strict=True):
        path.write_bytes(content)
    assert certificate.renew(never)
    assert shown_by(certificate.context) != old
