"""SD-JWT VC (draft-ietf-oauth-sd-jwt-vc): an SD-JWT that is a credential, by issuers and holders of this chain.

* `typ` is dc+sd-jwt, `vct` says which kind of credential it is.
* `iss` is the issuer's identifier, and `kid` one of that identifier's keys as its DID document names it:
  `did:iov:…#` and the key's Multikey text. The text is the key, so a resolver cannot answer with another one; whether
  the identifier has it, and had it in time, only the chain tells.
* `cnf` has the holder's key, `sub` his identifier; who shows the credential proves that he has the key.
* `status`, if there, points to a bit of a Token Status List, which the caller looks up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from identity.address import NetworkKind
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.credentials.sd_jwt import Claim, Disclosable, KeyBindingDemand, issue_sd_jwt, read_key_id, verify_sd_jwt
from identity.credentials.status_list import StatusReference, parse_status_claim
from identity.did import Did, InvalidDidError, format_did, parse_did
from identity.keys import PrivateKey, PublicKey
from identity.multikey import format_multikey
from identity.strict_json import Json

CREDENTIAL_TOKEN_TYPE: Final = "dc+sd-jwt"  # noqa: S105  # a media type, not a secret
KIND_CHARACTERS_MAX: Final = 512  # of vct

ResolveKey = Callable[[Did, str], PublicKey | None]
"""From an identifier and the name of a key (what stands after #) to that key if it may sign credentials, or None."""


@dataclass(frozen=True, slots=True)
class VerifiedCredential:
    """What a verifier knows; of the status only where it stands."""

    issuer: Did
    holder: Did | None
    """None when the holder does not disclose his identifier."""
    kind: str
    """`vct`"""
    status: StatusReference | None
    claims: dict[str, Json]
    """All that is open or disclosed, those above included."""


def format_key_id(did: Did, network: NetworkKind, public_key: PublicKey) -> str:
    """The DID URL of an identifier's key, as its document has it."""
    return f"{format_did(did, network)}#{format_multikey(public_key)}"


def parse_key_id(text: str, network: NetworkKind) -> tuple[Did, str]:
    """Identifier and name of the key; raises CredentialError."""
    did_text, separator, name = text.partition("#")
    if not separator or not name:
        raise CredentialError(CredentialReason.MALFORMED, "kid is an identifier, # and the name of a key")
    return _parse_did(did_text, network), name


def issue_credential(
    claims: dict[str, Claim],
    salts: Sequence[bytes],
    issuer: Did,
    network: NetworkKind,
    issuer_key: PrivateKey,
    holder_key: PublicKey,
) -> str:
    """Sign a credential; `iss` in the claims is the issuer, `vct` its kind. Raises CredentialError.

    `vc_data_model.to_sd_jwt_claims` makes the claims; there is one salt for each that is disclosable.
    """
    if claims.get("iss") != format_did(issuer, network):
        raise CredentialError(CredentialReason.BAD_CLAIM, "iss is the issuer's identifier")
    _check_kind(claims.get("vct"))
    holder = claims.get("sub")
    if holder is not None:
        _parse_did(holder.value if isinstance(holder, Disclosable) else holder, network)
    key_id = format_key_id(issuer, network, issuer_key.public_key)
    return issue_sd_jwt(claims, salts, issuer_key, holder_key, CREDENTIAL_TOKEN_TYPE, key_id)


def verify_credential(
    text: str,
    network: NetworkKind,
    resolve_key: ResolveKey,
    now_s: int,
    key_binding: KeyBindingDemand | None,
) -> VerifiedCredential:
    """What the issuer attests and the holder discloses; raises CredentialError.

    With `key_binding` None this is the holder's check of what he received. A status is not looked up: ask the list, and
    the chain for its hash. Whether to believe this issuer about this kind is the caller's decision.
    """
    key_id = read_key_id(text)
    if key_id is None:
        raise CredentialError(CredentialReason.UNKNOWN_KEY, "the credential does not name the issuer's key")
    issuer, key_name = parse_key_id(key_id, network)
    issuer_key = resolve_key(issuer, key_name)
    if issuer_key is None or format_multikey(issuer_key) != key_name:
        raise CredentialError(CredentialReason.UNKNOWN_KEY, "the issuer's identifier has no such key to sign with")
    claims = verify_sd_jwt(text, issuer_key, CREDENTIAL_TOKEN_TYPE, now_s, key_binding)
    if claims.get("iss") != format_did(issuer, network):
        raise CredentialError(CredentialReason.BAD_CLAIM, "iss is not the identifier whose key signed")
    return VerifiedCredential(
        issuer=issuer,
        holder=_parse_did(claims["sub"], network) if "sub" in claims else None,
        kind=_check_kind(claims.get("vct")),
        status=parse_status_claim(claims["status"]) if "status" in claims else None,
        claims=claims,
    )


def _parse_did(value: object, network: NetworkKind) -> Did:
    if type(value) is not str:
        raise CredentialError(CredentialReason.MALFORMED, "an identifier is text")
    try:
        return parse_did(value, network)
    except InvalidDidError as error:
        raise CredentialError(CredentialReason.MALFORMED, str(error)) from None


def _check_kind(value: object) -> str:
    if type(value) is not str or not 0 < len(value) <= KIND_CHARACTERS_MAX:
        raise CredentialError(CredentialReason.BAD_CLAIM, f"vct is text of 1 to {KIND_CHARACTERS_MAX} characters")
    return value
