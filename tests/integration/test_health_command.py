"""`sluice health`: what containers ask, where there is no curl."""

import socket
import ssl
import threading

import pytest

from gateway.cli import main
from tests.support.certificates import write_certificate
from tests.support.gateway import Gateway, shared_gateway, show_gateway_log  # noqa: F401  fixtures


def test_a_gateway_that_is_alive_is_healthy(gateway, capsys):
    assert main(["health", "--port", str(gateway.port), "--host", "0.0.0.0"]) == 0
    assert '"status":"ok"' in capsys.readouterr().out


def test_where_nobody_answers_nothing_is_healthy(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert main(["health", "--port", str(port)]) == 1
    assert f"nobody answers at 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "said, sentence",
    [(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy", "answers 503: busy"), (b"\x15\x03", "nobody")],
)
def test_another_answer_is_no_health(said, sentence, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert main(["health", "--port", str(listening.getsockname()[1])]) == 1
        thread.join()
    assert sentence in capsys.readouterr().err


def test_a_gateway_that_speaks_https_is_asked_so(tmp_path, monkeypatch, capsys):
    certificate, key = write_certificate(tmp_path / "files", "sluice.example")
    options = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    gateway = Gateway(tmp_path, *options)
    gateway.tls = ssl.create_default_context(cafile=certificate)
    gateway.tls.check_hostname = False
    gateway.start()
    try:
        monkeypatch.setenv("SLUICE_TLS_CERTIFICATE", str(certificate))
        monkeypatch.setenv("SLUICE_TLS_KEY", str(key))
        assert main(["health", "--port", str(gateway.port)]) == 0
    finally:
        gateway.end()
