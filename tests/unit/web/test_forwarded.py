"""Headers of proxies are believed from proxies that were named, and from nobody else."""

import pytest

from gateway.web.forwarded import Proxies

SAID = {"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "sluice.example, inner"}


@pytest.mark.parametrize(
    ("allowed", "peer", "is_believed"),
    [
        ("", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("10.0.0.0/8, ::1", "10.9.8.7", True),
        ("10.0.0.0/8, ::1", "::1", True),
        ("10.0.0.0/8", "::ffff:10.1.1.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("*", "203.0.113.7", True),
        ("*", "", True),
        ("10.0.0.0/8", "", False),
    ],
)
def test_who_is_believed(allowed, peer, is_believed):
    found = Proxies(allowed).base_url("http", "inside:7181", SAID, peer)

    assert found == ("https://sluice.example" if is_believed else "http://inside:7181")


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": " "}])
def test_what_a_proxy_does_not_say_is_as_we_see_it(headers):
    assert Proxies("*").base_url("http", "inside:7181", headers, "10.0.0.1") == "http://inside:7181"


@pytest.mark.parametrize("entry", ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "1.2.3.4:80"])
def test_what_is_no_address_is_refused_by_name(entry):
    with pytest.raises(ValueError, match="that is no address or network"):
        Proxies(f"127.0.0.1, {entry}")
