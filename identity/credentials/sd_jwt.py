"""Selective disclosure for JSON Web Tokens (SD-JWT, RFC 9901), compact form, SHA-256.

    issuer-signed JWT ~ disclosure ~ … ~ disclosure ~ [key binding JWT]

The issuer signs digests in place of the claims that the holder may keep to himself. A disclosure is the salted preimage
of one digest: base64url of [salt, name, value] for a claim of an object, of [salt, value] for an element of an array.
The holder passes on those that he chooses and, with the key that the issuer named in `cnf`, signs the verifier's
question together with the hash of what he shows.

Rules beyond RFC 9901: exactly the header fields and key binding claims that it names; names in ALWAYS_OPEN are never
hidden, so nobody can hide that a credential has ended; every limit below.

Time and salts are arguments. A salt is 16 random bytes or more, new for each disclosure (RFC 9901 section 9.3).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.credential_json import check_json, parse_json
from identity.credentials.jwk import format_jwk, parse_jwk
from identity.credentials.jws import JWS_CHARACTERS_MAX, Jws, check_jws, parse_jws, sign_jws
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.keys import PrivateKey, PublicKey
from identity.strict_json import JSON_DEPTH_MAX, Json, format_json

SALT_BYTES_MIN: Final = 16  # RFC 9901 section 9.3
DISCLOSURES_MAX: Final = 256  # of one credential; the work of a verifier grows with them
DIGESTS_MAX: Final = 1_024  # in a credential and its disclosures, with those that stand for nothing
DISCLOSURE_CHARACTERS_MAX: Final = 16_384  # a small picture as text; larger things are given as a hash
SD_JWT_CHARACTERS_MAX: Final = 2 * JWS_CHARACTERS_MAX + 262_144  # two signed objects and 256 kB of disclosures
QUESTION_CHARACTERS_MAX: Final = 512  # of a nonce and of an audience
CLOCK_SKEW_S: Final = 60  # by which the clocks of issuer, holder and verifier may differ
KEY_BINDING_AGE_S_MAX: Final = 300  # a person reads, chooses and confirms in less

ALWAYS_OPEN: Final = frozenset({"iss", "aud", "exp", "nbf", "cnf", "vct", "vct#integrity", "status"})
"""Claims of the outermost object that decide whether a credential holds (RFC 9901 section 9.7; SD-JWT VC 2.2.2)."""

_DIGESTS: Final = "_sd"
_ALGORITHM: Final = "_sd_alg"
_ELEMENT: Final = "..."
_RESERVED: Final = (_DIGESTS, _ALGORITHM, _ELEMENT)
_HASH: Final = "sha-256"
_KEY_BINDING_TYPE: Final = "kb+jwt"
_SEPARATOR: Final = "~"

Path: TypeAlias = tuple[str | int, ...]
"""Where a claim stands: names of objects and indexes of arrays, from the outermost object."""


@dataclass(frozen=True, slots=True)
class Disclosable:
    """A claim's value, or an element of an array, that the holder may keep to himself."""

    value: "Claim"


Claim: TypeAlias = "bool | int | str | list[Claim] | dict[str, Claim] | Disclosable | None"
"""JSON of which parts are disclosable, in each other if need be."""


@dataclass(frozen=True, slots=True)
class KeyBindingDemand:
    """What a verifier has asked the holder to sign."""

    audience: str
    """Who asks."""
    nonce: str
    """Never used before, or an answer could be shown again."""
    age_s_max: int = KEY_BINDING_AGE_S_MAX


@dataclass(frozen=True, slots=True)
class _Disclosure:
    encoded: str
    name: str | None
    """None for an element of an array."""
    value: Json


@dataclass(frozen=True, slots=True)
class _Parts:
    """The text taken apart."""

    issuer_signed: Jws
    disclosures: dict[str, _Disclosure]
    """By digest, in the order of the text."""
    unbound: str
    """All up to the last separator, which the holder's signature covers."""
    key_binding: str
    """Empty without one."""


@dataclass(slots=True)
class _Walk:
    """What has been met on the way through the claims."""

    disclosures: dict[str, _Disclosure]
    digests: dict[str, None] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    """Where each disclosure that was met stands, by digest."""


def count_disclosable(claims: Claim) -> int:
    """How many salts `issue_sd_jwt` needs for these claims."""
    match claims:
        case Disclosable(value):
            return 1 + count_disclosable(value)
        case list():
            return sum(map(count_disclosable, claims))
        case dict():
            return sum(map(count_disclosable, claims.values()))
        case _:
            return 0


def issue_sd_jwt(
    claims: dict[str, Claim],
    salts: Sequence[bytes],
    issuer_key: PrivateKey,
    holder_key: PublicKey | None,
    token_type: str,
    key_id: str | None = None,
) -> str:
    """Sign claims for a holder; returns the text with all disclosures.

    `salts` has one entry for each Disclosable. With `holder_key` only who has its secret can show the credential.
    Raises CredentialError.
    """
    if len(salts) != count_disclosable(claims) or len(set(salts)) != len(salts):
        raise CredentialError(
            CredentialReason.BAD_CLAIM, "there is one salt for each disclosable claim, and none is used twice"
        )
    if any(len(salt) < SALT_BYTES_MIN for salt in salts):
        raise CredentialError(CredentialReason.BAD_CLAIM, f"a salt has at least {SALT_BYTES_MIN} bytes")
    if "cnf" in claims:
        raise CredentialError(CredentialReason.BAD_CLAIM, "cnf is made from the holder's key")
    disclosures: list[str] = []
    payload = _hide_in_object(claims, iter(salts), disclosures, is_outermost=True)
    if disclosures:
        payload[_ALGORITHM] = _HASH
    if holder_key is not None:
        payload["cnf"] = {"jwk": format_jwk(holder_key)}
    text = _join(sign_jws(payload, issuer_key, token_type, key_id), disclosures)
    _resolve(_parse(text))  # what no verifier would take is not issued
    return text


def list_disclosable_paths(text: str) -> tuple[Path, ...]:
    """Where the claims stand that this text discloses; raises CredentialError. For holders, who choose among them."""
    _, walk = _resolve(_parse(text))
    return tuple(walk.paths.values())


def present_sd_jwt(text: str, chosen: Collection[Path]) -> str:
    """The text with the chosen disclosures only, and those within which they stand. Raises CredentialError."""
    parts = _parse(text)
    if parts.key_binding:
        raise CredentialError(
            CredentialReason.BAD_KEY_BINDING, "this was shown to a verifier already: take it as it was issued"
        )
    _, walk = _resolve(parts)
    missing = [path for path in chosen if path not in walk.paths.values()]
    if missing:
        raise CredentialError(CredentialReason.BAD_DISCLOSURE, f"nothing at {missing[0]!r} can be disclosed or not")
    kept = [
        disclosure.encoded
        for digest, disclosure in parts.disclosures.items()
        if any(path[: len(walk.paths[digest])] == walk.paths[digest] for path in chosen)
    ]
    return _join(text.partition(_SEPARATOR)[0], kept)


def bind_sd_jwt(presentation: str, holder_key: PrivateKey, audience: str, nonce: str, now_s: int) -> str:
    """Append the holder's proof for one verifier and one question. Raises CredentialError."""
    parts = _parse(presentation)
    if parts.key_binding:
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "the presentation has its proof already")
    if _get_holder_key(parts.issuer_signed.payload) != holder_key.public_key:
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "the credential was issued to another key")
    for text in (audience, nonce):
        _check_question(text)
    payload: dict[str, Json] = {"iat": now_s, "aud": audience, "nonce": nonce, "sd_hash": _hash(presentation)}
    return presentation + sign_jws(payload, holder_key, _KEY_BINDING_TYPE, None)


def read_key_id(text: str) -> str | None:
    """The key that the issuer says he signed with; not verified. Raises CredentialError."""
    return _parse(text).issuer_signed.key_id


def verify_sd_jwt(
    text: str, issuer_key: PublicKey, token_type: str, now_s: int, key_binding: KeyBindingDemand | None
) -> dict[str, Json]:
    """The claims that the issuer signed and the holder discloses, without digests. Raises CredentialError.

    Whether a proof of the holder is needed is the verifier's decision, never the presentation's: with `key_binding` it
    must be there, without there must be none (RFC 9901 section 9.5). The caller trusts `issuer_key`.
    """
    parts = _parse(text)
    check_jws(parts.issuer_signed, issuer_key, token_type)
    claims, walk = _resolve(parts)
    if len(walk.paths) != len(parts.disclosures):
        raise CredentialError(CredentialReason.BAD_DISCLOSURE, "a disclosure is none of those that the issuer signed")
    _check_times(claims, now_s)
    if key_binding is not None:
        _check_key_binding(parts, key_binding, now_s)
    elif parts.key_binding:
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "a proof of the holder was not asked for")
    return claims


# Issuing


def _hide(claim: Claim, salts: Iterator[bytes], disclosures: list[str]) -> Json:
    match claim:
        case dict():
            return _hide_in_object(claim, salts, disclosures, is_outermost=False)
        case list():
            return [_hide_in_array(element, salts, disclosures) for element in claim]
        case Disclosable():
            raise CredentialError(CredentialReason.BAD_CLAIM, "what is disclosable stands in an object or an array")
        case _:
            return claim


def _hide_in_object(
    claims: dict[str, Claim], salts: Iterator[bytes], disclosures: list[str], *, is_outermost: bool
) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    digests: list[str] = []
    for name, claim in claims.items():
        if name in _RESERVED:
            raise CredentialError(CredentialReason.BAD_CLAIM, f"no claim is called {name}")
        if not isinstance(claim, Disclosable):
            fields[name] = _hide(claim, salts, disclosures)
        elif is_outermost and name in ALWAYS_OPEN:
            raise CredentialError(CredentialReason.BAD_CLAIM, f"{name} is never hidden")
        else:
            salt = encode_base64url(next(salts))
            digests.append(_disclose([salt, name, _hide(claim.value, salts, disclosures)], disclosures))
    if digests:
        fields[_DIGESTS] = [*sorted(digests)]  # sorted, or the order would tell which claim a digest stands for
    return fields


def _hide_in_array(element: Claim, salts: Iterator[bytes], disclosures: list[str]) -> Json:
    if not isinstance(element, Disclosable):
        return _hide(element, salts, disclosures)
    salt = encode_base64url(next(salts))
    return {_ELEMENT: _disclose([salt, _hide(element.value, salts, disclosures)], disclosures)}


def _disclose(content: list[Json], disclosures: list[str]) -> str:
    """Note a disclosure and return its digest."""
    check_json(content)
    encoded = encode_base64url(format_json(content))
    disclosures.append(encoded)
    return _hash(encoded)


def _join(issuer_signed: str, disclosures: list[str]) -> str:
    return _SEPARATOR.join([issuer_signed, *disclosures, ""])


def _hash(text: str) -> str:
    return encode_base64url(sha256(text.encode()).digest())


# Reading


def _parse(text: str) -> _Parts:
    if len(text) > SD_JWT_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"a presentation has at most {SD_JWT_CHARACTERS_MAX} characters"
        )
    if not text.isascii():
        raise CredentialError(CredentialReason.MALFORMED, "a presentation is ASCII text")
    if text.count(_SEPARATOR) > DISCLOSURES_MAX + 1:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"a presentation has at most {DISCLOSURES_MAX} disclosures"
        )
    unbound, separator, key_binding = text.rpartition(_SEPARATOR)
    if not separator:
        raise CredentialError(CredentialReason.MALFORMED, "the issuer's part of a presentation ends with ~")
    issuer_signed, *encoded_disclosures = unbound.split(_SEPARATOR)
    disclosures = {_hash(encoded): _parse_disclosure(encoded) for encoded in encoded_disclosures}
    if len(disclosures) != len(encoded_disclosures):
        raise CredentialError(CredentialReason.BAD_DISCLOSURE, "a disclosure stands twice")
    return _Parts(parse_jws(issuer_signed), disclosures, unbound + separator, key_binding)


def _parse_disclosure(encoded: str) -> _Disclosure:
    if len(encoded) > DISCLOSURE_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"a disclosure has at most {DISCLOSURE_CHARACTERS_MAX} characters"
        )
    match parse_json(decode_base64url(encoded)):
        case [str(), str(name), value] if name not in _RESERVED:
            return _Disclosure(encoded, name, value)
        case [str(), value]:
            return _Disclosure(encoded, None, value)
        case _:
            raise CredentialError(
                CredentialReason.BAD_DISCLOSURE, "a disclosure is [salt, name, value] or [salt, value]"
            )


def _resolve(parts: _Parts) -> tuple[dict[str, Json], _Walk]:
    """Put what is disclosed where its digest stands, and drop all other digests (RFC 9901 section 7.1 step 3)."""
    fields = dict(parts.issuer_signed.payload)
    if fields.pop(_ALGORITHM, _HASH) != _HASH:
        raise CredentialError(CredentialReason.ALGORITHM_REFUSED, f"digests are {_HASH}")
    walk = _Walk(parts.disclosures)
    return _resolve_object(fields, (), walk), walk


def _resolve_value(value: Json, path: Path, walk: _Walk) -> Json:
    if isinstance(value, (dict, list)) and len(path) >= JSON_DEPTH_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"claims are at most {JSON_DEPTH_MAX} objects and arrays deep"
        )
    match value:
        case dict():
            return _resolve_object(value, path, walk)
        case list():
            return _resolve_array(value, path, walk)
        case _:
            return value


def _resolve_object(fields: dict[str, Json], path: Path, walk: _Walk) -> dict[str, Json]:
    resolved: dict[str, Json] = {}
    for name, value in fields.items():
        if name in (_ALGORITHM, _ELEMENT):
            raise CredentialError(CredentialReason.MALFORMED, f"{name} stands where it means nothing")
        if name != _DIGESTS:
            resolved[name] = _resolve_value(value, (*path, name), walk)
    digests = fields.get(_DIGESTS, [])
    if type(digests) is not list:
        raise CredentialError(CredentialReason.MALFORMED, f"{_DIGESTS} is a list of digests")
    for digest in digests:
        disclosure = _take(digest, walk)
        if disclosure is None:
            continue
        name = _get_name(disclosure)
        if name in resolved:
            raise CredentialError(CredentialReason.BAD_DISCLOSURE, f"{name} stands twice in one object")
        if not path and name in ALWAYS_OPEN:
            raise CredentialError(CredentialReason.BAD_DISCLOSURE, f"{name} is never hidden")
        walk.paths[str(digest)] = (*path, name)
        resolved[name] = _resolve_value(disclosure.value, (*path, name), walk)
    return resolved


def _resolve_array(elements: list[Json], path: Path, walk: _Walk) -> list[Json]:
    resolved: list[Json] = []
    for element in elements:
        place = (*path, len(resolved))
        match element:
            case {"...": digest, **rest} if not rest:
                disclosure = _take(digest, walk)
                if disclosure is None:
                    continue
                if disclosure.name is not None:
                    raise CredentialError(CredentialReason.BAD_DISCLOSURE, "a claim of an object stands in an array")
                walk.paths[str(digest)] = place
                resolved.append(_resolve_value(disclosure.value, place, walk))
            case _:
                resolved.append(_resolve_value(element, place, walk))
    return resolved


def _take(digest: Json, walk: _Walk) -> _Disclosure | None:
    """What a digest stands for, None when that is not disclosed; each digest stands once (7.1 step 4)."""
    if type(digest) is not str:
        raise CredentialError(CredentialReason.MALFORMED, "a digest is text")
    if digest in walk.digests:
        raise CredentialError(CredentialReason.BAD_DISCLOSURE, "a digest stands twice")
    walk.digests[digest] = None
    if len(walk.digests) > DIGESTS_MAX:
        raise CredentialError(CredentialReason.LIMIT_EXCEEDED, f"a credential has at most {DIGESTS_MAX} digests")
    return walk.disclosures.get(digest)


def _get_name(disclosure: _Disclosure) -> str:
    if disclosure.name is None:
        raise CredentialError(CredentialReason.BAD_DISCLOSURE, "an element of an array stands in an object")
    return disclosure.name


# Time and holder


def _check_times(claims: dict[str, Json], now_s: int) -> None:
    expires_s, begins_s, issued_s = (_get_time(claims, name) for name in ("exp", "nbf", "iat"))
    if expires_s is not None and now_s >= expires_s + CLOCK_SKEW_S:
        raise CredentialError(CredentialReason.EXPIRED, "the credential has ended")
    if any(each is not None and now_s < each - CLOCK_SKEW_S for each in (begins_s, issued_s)):
        raise CredentialError(CredentialReason.NOT_YET_VALID, "the credential does not hold yet")


def _get_time(claims: dict[str, Json], name: str) -> int | None:
    """Seconds since 1970; None where there is no such claim."""
    time_s = claims.get(name, 0)
    if type(time_s) is not int or time_s < 0:
        raise CredentialError(CredentialReason.BAD_CLAIM, f"{name} is a number of seconds")
    return time_s if name in claims else None


def _get_holder_key(payload: dict[str, Json]) -> PublicKey:
    match payload.get("cnf"):
        case {"jwk": jwk, **rest} if not rest:
            return parse_jwk(jwk)
        case _:
            raise CredentialError(
                CredentialReason.BAD_CLAIM, "the credential names no holder's key, as {jwk: …} in cnf"
            )


def _check_question(text: str) -> None:
    if not 0 < len(text) <= QUESTION_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"audience and nonce have 1 to {QUESTION_CHARACTERS_MAX} characters"
        )


def _check_key_binding(parts: _Parts, demand: KeyBindingDemand, now_s: int) -> None:
    """RFC 9901 section 7.3 step 5."""
    for text in (demand.audience, demand.nonce):
        _check_question(text)
    if not parts.key_binding:
        raise CredentialError(CredentialReason.NO_KEY_BINDING, "the holder has not signed the presentation")
    proof = parse_jws(parts.key_binding)
    check_jws(proof, _get_holder_key(parts.issuer_signed.payload), _KEY_BINDING_TYPE)
    match proof.payload:
        case {"iat": int(issued_s), "aud": str(audience), "nonce": str(nonce), "sd_hash": str(digest), **rest} if (
            not rest and type(issued_s) is int
        ):
            pass
        case _:
            raise CredentialError(
                CredentialReason.BAD_KEY_BINDING, "the holder's proof has iat, aud, nonce, sd_hash and nothing else"
            )
    if audience != demand.audience:
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "the holder's proof is for another verifier")
    if nonce != demand.nonce:
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "the holder's proof answers another question")
    if digest != _hash(parts.unbound):
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "the holder's proof is for another presentation")
    if not -CLOCK_SKEW_S <= now_s - issued_s <= demand.age_s_max + CLOCK_SKEW_S:
        raise CredentialError(CredentialReason.BAD_KEY_BINDING, "the holder's proof is too old, or from the future")
