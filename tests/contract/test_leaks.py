"""The search for secrets in what a gateway shows finds them where there are some."""

from tests.support.leaks import find_leaks


def test_a_secret_that_came_out_is_found_and_named(gateway):
    name = gateway.create_datasource("n UInt8 `json:$.n`")
    gateway.request("POST", "/v0/variables", b"name=leak_probe&value=a-value-of-its-own")
    gateway.post_events(name, b'{"n": "a-value-of-its-own"}', wait="true")

    found = find_leaks(gateway)

    assert f"{name}_quarantine: variable leak_probe" in found
    assert gateway.request("DELETE", "/v0/variables/leak_probe").status == 200
    assert not any("a-value-of-its-own" in each for each in found)
