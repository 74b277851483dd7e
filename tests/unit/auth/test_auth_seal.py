"""A sealed value opens where it was sealed for, under the same secret, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.seal import Seal
from gateway.core.errors import Unavailable

SEAL = Seal(b"s" * 32)


@given(st.text(), st.text())
def test_what_was_sealed_is_opened(text, place):
    sealed = SEAL.close(text, place)

    assert Seal(b"s" * 32).open(sealed, place) == text
    assert len(text) < 3 or text not in sealed


def test_the_same_text_is_never_sealed_the_same_way_twice():
    assert len({SEAL.close("text", "a/b") for _ in range(100)}) == 100


@pytest.mark.parametrize(("secret", "place"), [(b"s" * 32, "a/c"), (b"t" * 32, "a/b")])
def test_elsewhere_it_stays_closed(secret, place):
    with pytest.raises(Unavailable, match="set the variable again"):
        Seal(secret).open(SEAL.close("text", "a/b"), place)


def test_another_text_for_the_same_bytes_stays_closed():
    sealed = next(each for each in (SEAL.close("text", "a/b") for _ in range(1000)) if {"-", "_"} & set(each))
    with pytest.raises(Unavailable):
        SEAL.open(sealed.replace("-", "+").replace("_", "/"), "a/b")


@given(st.data())
def test_a_changed_text_stays_closed(data):
    sealed = SEAL.close("text", "a/b")
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(max_codepoint=0x17F).filter(lambda c: c != sealed[at]))
    with pytest.raises(Unavailable):
        SEAL.open(sealed[:at] + other + sealed[at + 1 :], "a/b")


@pytest.mark.parametrize("damaged", ["", "1.", "2." + "A" * 40, "1." + "A" * 16, "plain"])
def test_what_was_never_sealed_stays_closed(damaged):
    with pytest.raises(Unavailable):
        SEAL.open(damaged, "a/b")
