"""Keys, a driver's claims and the official examples, for the tests of credentials."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.credentials.sd_jwt import Disclosable, KeyBindingDemand, bind_sd_jwt, issue_sd_jwt, present_sd_jwt
from identity.keys import KeyType, PrivateKey
from tests.builders import make_key

VECTORS = Path(__file__).parents[2] / "vectors"
RFC9901 = json.loads((VECTORS / "rfc9901_sd_jwt.json").read_text())
STATUS_LISTS = json.loads((VECTORS / "status_lists.json").read_text())

ISSUER_KEY = make_key("workshop")
HOLDER_KEY = make_key("driver", KeyType.P256)
TOKEN_TYPE = "example+sd-jwt"
NOW_S = 1_800_000_000
DEMAND = KeyBindingDemand("https://insurer.example", "nonce 1")

CLAIMS = {
    "iss": "https://workshop.example",
    "iat": NOW_S,
    "exp": NOW_S + 1_000,
    "name": Disclosable("Ada"),
    "address": Disclosable({"city": Disclosable("Graz"), "country": "AT"}),
    "classes": ["AM", Disclosable("B"), Disclosable("C")],
}
OPEN_CLAIMS = {
    "iss": "https://workshop.example",
    "iat": NOW_S,
    "exp": NOW_S + 1_000,
    "classes": ["AM"],
    "cnf": {"jwk": None},
}


def make_salts(count: int) -> list[bytes]:
    return [sha256(b"salt %d" % index).digest()[:16] for index in range(count)]


def issue(claims: dict[str, Any] | None = None, salts: int = 5, issuer_key: PrivateKey = ISSUER_KEY) -> str:
    return issue_sd_jwt(
        CLAIMS if claims is None else claims, make_salts(salts), issuer_key, HOLDER_KEY.public_key, TOKEN_TYPE
    )


def present(*paths: tuple[str | int, ...]) -> str:
    """The driver's credential, shown to the insurer with what stands at these paths."""
    return bind_sd_jwt(present_sd_jwt(issue(), paths), HOLDER_KEY, DEMAND.audience, DEMAND.nonce, NOW_S)


def to_text(value: Any) -> str:
    """A part of a token from JSON, written as only a test would."""
    return encode_base64url(json.dumps(value).encode())


def edit(part: str, change: Callable[[Any], None]) -> str:
    """The part with its JSON changed."""
    value = json.loads(decode_base64url(part))
    change(value)
    return to_text(value)


def sign(header: Any, payload: Any, key: PrivateKey = ISSUER_KEY) -> str:
    """A token with whatever header and payload, rightly signed."""
    signed = f"{to_text(header)}.{to_text(payload)}"
    return f"{signed}.{encode_base64url(key.sign(signed.encode()))}"


def refuses(reason: CredentialReason, why: str | None = None) -> AbstractContextManager[Any]:
    """That the block raises CredentialError with this reason."""
    return pytest.raises(CredentialError, match=why, check=lambda error: error.reason is reason)
