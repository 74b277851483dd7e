"""How a token is signed, and what is refused."""

import base64

import orjson
import pytest

from gateway.auth.token import TOKEN_CHARS_MAX, mint, verify
from gateway.core.errors import Unauthenticated

SECRET = b"s" * 32
OWNER = "0f5c2b1e-0000-4000-8000-000000000000"
ID = "6f1c0000-0000-4000-8000-000000000001"


def _payload(token):
    return orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_a_token_has_the_form_clients_take_apart():
    token = mint(SECRET, OWNER, ID)

    assert token.startswith("p.e")
    assert token.count(".") == 2
    assert "=" not in token
    assert len(token.split(".")[2]) == 43
    assert orjson.dumps(_payload(token)) == orjson.dumps({"u": OWNER, "id": ID, "host": "local"})


def test_a_refreshed_token_says_so():
    token = mint(SECRET, OWNER, ID, host="eu_west", secret_version=3)

    assert _payload(token) == {"u": OWNER, "id": ID, "host": "eu_west", "v": 3}


def test_a_token_is_always_the_same_string():
    """Changing it makes every token in use invalid."""
    assert mint(SECRET, OWNER, ID) == (
        "p.eyJ1IjoiMGY1YzJiMWUtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAwIiwiaWQiOiI2ZjFjMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAw"
        "MDAwMDAwMDEiLCJob3N0IjoibG9jYWwifQ.nq7YBytK-UPq0Zil7IpEY2B4zrOZAAZF4eA_dP97U7s"
    )


def test_what_was_signed_is_read_back():
    claims = verify(SECRET, mint(SECRET, OWNER, ID, host="eu", secret_version=2))

    assert (claims.owner_id, claims.token_id, claims.host, claims.secret_version) == (OWNER, ID, "eu", 2)


def test_another_secret_does_not_open_it():
    with pytest.raises(Unauthenticated):
        verify(b"t" * 32, mint(SECRET, OWNER, ID))


def _signed(payload):
    """A string signed with our secret, whatever it says."""
    import hashlib
    import hmac

    head = "p." + base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET, head.encode(), hashlib.sha256)).rstrip(b"=").decode()
    return f"{head}.{signature}"


TOKEN = mint(SECRET, OWNER, ID)
HEAD, _, SIGNATURE = TOKEN.rpartition(".")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "p",
        "p.",
        "p..",
        "p...",
        TOKEN[:-1],
        TOKEN[1:],
        TOKEN + "=",
        TOKEN + "A",
        " " + TOKEN,
        TOKEN + "\n",
        TOKEN.upper(),
        TOKEN.replace("p.", "P.", 1),
        HEAD,
        HEAD + ".",
        "p." + SIGNATURE,
        f"p..{SIGNATURE}",
        f"{HEAD}.{SIGNATURE}.{SIGNATURE}",
        f"{HEAD}=.{SIGNATURE}",
        "p.e30." + SIGNATURE,
        "eyJhbGciOiJIUzI1NiJ9.e30." + SIGNATURE,
        "ü" + TOKEN,
        HEAD + ".\udcff",
        "\0" * 100,
        TOKEN + "A" * TOKEN_CHARS_MAX,
        "p." + "A" * TOKEN_CHARS_MAX + "." + SIGNATURE,
        _signed(b""),
        _signed(b"{}"),
        _signed(b"[]"),
        _signed(b"null"),
        _signed(b'{"u":1,"id":2,"host":3}'),
        _signed(b"\xff\xfe"),
        _signed(b"[" * 5000),
    ],
)
def test_what_is_no_token_is_refused_with_one_sentence(token):
    with pytest.raises(Unauthenticated) as caught:
        verify(SECRET, token)

    assert str(caught.value) == "Invalid token"


def test_a_short_secret_is_a_mistake_of_ours():
    with pytest.raises(AssertionError):
        mint(b"short", OWNER, ID)
