"""Keys in a PKCS#11 token (a hardware security module, a smart card, SoftHSM): found by label, used, never read.

| key type  | key pair       | signs with                  | what the token gives     | made of it                 |
|-----------|----------------|-----------------------------|--------------------------|----------------------------|
| ed25519   | CKK_EC_EDWARDS | CKM_EDDSA over the message  | 64 bytes, RFC 8032       | as it is                   |
| secp256k1 | CKK_EC         | CKM_ECDSA over its SHA-256  | 64 bytes r ‖ s           | s mirrored to the low half |
| P-256     | CKK_EC         | CKM_ECDSA over its SHA-256  | 64 bytes r ‖ s           | s mirrored to the low half |

A key is a public and a private object of one label and one CKA_ID. Every signature is verified before it is handed
on. Calls block. All of them run on one thread of their own: a module may be called by one thread at a time, and it
leaves errors in OpenSSL's queue of its thread, where `ssl` would take them for its own. Only whoever is configured to
use a token imports this file, because it loads the binding.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from hashlib import sha256
from pathlib import Path
from threading import local
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

import pkcs11
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    MultipleTokensReturned,
    NoSuchToken,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
)
from pkcs11.mechanisms import KeyType as TokenKeyType
from pkcs11.mechanisms import Mechanism

from identity.keys import (
    SIGNATURE_BYTES,
    InvalidKeyError,
    KeyType,
    PublicKey,
    check_public_key,
    normalise_signature,
    verify_signature,
)

LABEL_CHARACTERS_MAX: Final = 64
KEYS_LISTED_MAX: Final = 10_000
_KEY_ID_BYTES: Final = 16

_CURVES: Final = {
    bytes.fromhex("06032b6570"): KeyType.ED25519,  # 1.3.101.112
    bytes.fromhex("130c656477617264733235353139"): KeyType.ED25519,  # the text "edwards25519", as PKCS#11 3.0 writes it
    bytes.fromhex("06092b06010401da470f01"): KeyType.ED25519,  # 1.3.6.1.4.1.11591.15.1, from before RFC 8410
    bytes.fromhex("06052b8104000a"): KeyType.SECP256K1,
    bytes.fromhex("06082a8648ce3d030107"): KeyType.P256,
}
"""CKA_EC_PARAMS, in every form that tokens give for a curve."""
_PARAMETERS: Final = {key_type: parameters for parameters, key_type in reversed(_CURVES.items())}
"""The form that new keys are asked for."""
_PIN_FAULTS: Final = (PinIncorrect, PinInvalid, PinLenRange, PinLocked, PinExpired)


_HERE: Final = local()  # where `is_apart` is set, on the thread that calls modules
_THREAD: Final = ThreadPoolExecutor(1, "pkcs11", lambda: setattr(_HERE, "is_apart", True))

P = ParamSpec("P")
R = TypeVar("R")


def _apart(function: Callable[P, R]) -> Callable[P, R]:
    """Run it on the thread that calls modules, and wait."""

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        if getattr(_HERE, "is_apart", False):
            return function(*args, **named)
        return _THREAD.submit(function, *args, **named).result()

    return call


class TokenError(Exception):
    """The token, its key or its PIN cannot be used; one sentence that says what to do. Never holds the PIN."""


class PinRefusedError(TokenError):
    """The token refuses the PIN. Trying again would lock it."""


class TokenUnavailableError(TokenError):
    """The token does not answer now; it may later."""


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where a token is and how to log in."""

    module: Path
    """The vendor's shared library, an absolute path: its code runs in this process."""
    label: str
    """The label of the token."""
    pin: str | None = field(repr=False)
    """None opens it without a login, for the public keys."""


@dataclass(frozen=True, slots=True)
class TokenKeyListing:
    """A public key in a token, or what is wrong with it."""

    label: str
    public_key: PublicKey | None
    problem: str | None


class TokenKey:
    """A key that can be used and not read; like identity.keys.PrivateKey to whoever signs."""

    def __init__(self, label: str, public_key: PublicKey, private_object: Any) -> None:
        self.label = label
        self._public_key = public_key
        self._private_object = private_object

    @property
    def key_type(self) -> KeyType:
        """Its curve."""
        return self._public_key.key_type

    @property
    def public_key(self) -> PublicKey:
        """Checked when the key was found."""
        return self._public_key

    @_apart
    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature in the form that the chain accepts; raises TokenError, TokenUnavailableError."""
        with _translating(f"the token cannot sign with {self.label}"):
            if self.key_type is KeyType.ED25519:
                signature = self._private_object.sign(message, mechanism=Mechanism.EDDSA)
            else:
                signature = self._private_object.sign(sha256(message).digest(), mechanism=Mechanism.ECDSA)
        if len(signature) == SIGNATURE_BYTES:
            signature = normalise_signature(self.key_type, signature)
        if not verify_signature(self._public_key, message, signature):
            raise TokenError(f"the token gave a signature that is not one of {self.label}: do not use this token")
        return bytes(signature)


class Token:
    """A session with a token, logged in. Close it."""

    @_apart
    def __init__(self, place: TokenPlace, *, is_writable: bool = False) -> None:
        """Open it and log in; raises TokenError, PinRefusedError, TokenUnavailableError."""
        self._place = place
        library = _load_library(place.module)
        with _translating(f"the token {place.label} cannot be opened"):
            self._session = library.get_token(token_label=place.label).open(rw=is_writable, user_pin=place.pin)

    @_apart
    def list_keys(self) -> list[TokenKeyListing]:
        """All public keys by label, those of a foreign kind with their problem; raises TokenError."""
        with _translating(f"the keys of {self._place.label} cannot be listed"):
            found = [
                (str(each.label), _read_public_key(each))
                for each in self._session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY})
            ]
        if len(found) > KEYS_LISTED_MAX:
            raise TokenError(f"{self._place.label} holds more than {KEYS_LISTED_MAX} keys")
        return [
            TokenKeyListing(label, read, None) if isinstance(read, PublicKey) else TokenKeyListing(label, None, read)
            for label, read in sorted(found, key=lambda each: each[0])
        ]

    @_apart
    def get_public_key(self, label: str) -> PublicKey:
        """The public key of this label; raises TokenError when there is none, more than one, or a foreign one."""
        return self._read_public(label)[0]

    @_apart
    def get_key(self, label: str) -> TokenKey:
        """The key of this label, ready to sign; raises TokenError when there is none, or more than one."""
        public_key, key_id = self._read_public(label)
        private = self._find_one(label, ObjectClass.PRIVATE_KEY, "private")
        with _translating(f"the key {label} cannot be read"):
            is_pair = private.id == key_id
        if not is_pair:
            raise TokenError(f"the public and the private key {label} have different ids: give each pair its own label")
        return TokenKey(label, public_key, private)

    @_apart
    def generate(self, label: str, key_type: KeyType) -> TokenKey:
        """Make a key in the token that cannot leave it; raises TokenError, also when the label is taken."""
        if not 1 <= len(label) <= LABEL_CHARACTERS_MAX or not label.isprintable():
            raise TokenError(f"a key's label is 1 to {LABEL_CHARACTERS_MAX} printable characters, not {label!r}")
        if any(self._find(label, kind) for kind in (ObjectClass.PUBLIC_KEY, ObjectClass.PRIVATE_KEY)):
            raise TokenError(f"there is a key {label} in {self._place.label} already: choose another label")
        is_edwards = key_type is KeyType.ED25519
        family = TokenKeyType.EC_EDWARDS if is_edwards else TokenKeyType.EC
        mechanism = Mechanism.EC_EDWARDS_KEY_PAIR_GEN if is_edwards else Mechanism.EC_KEY_PAIR_GEN
        with _translating(f"{self._place.label} cannot make a {key_type.name.lower()} key"):
            curve = self._session.create_domain_parameters(
                family, {Attribute.EC_PARAMS: _PARAMETERS[key_type]}, local=True
            )
            public, private = curve.generate_keypair(
                id=os.urandom(_KEY_ID_BYTES),
                label=label,
                store=True,
                mechanism=mechanism,
                capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )
            if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
                public.destroy()
                private.destroy()
                raise TokenError(f"{self._place.label} made a key that could be read out: it was destroyed")
        return self.get_key(label)

    @_apart
    def close(self) -> None:
        """Log out. A token that is gone has done so by itself."""
        try:
            self._session.close()
        except PKCS11Error:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_public(self, label: str) -> tuple[PublicKey, bytes]:
        found = self._find_one(label, ObjectClass.PUBLIC_KEY, "public")
        with _translating(f"the key {label} cannot be read"):
            read, key_id = _read_public_key(found), bytes(found.id)
        if not isinstance(read, PublicKey):
            raise TokenError(f"the key {label} cannot be used here: {read}")
        return read, key_id

    def _find(self, label: str, kind: ObjectClass) -> list[Any]:
        with _translating(f"{self._place.label} cannot be searched"):
            return list(self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))

    def _find_one(self, label: str, kind: ObjectClass, word: str) -> Any:
        found = self._find(label, kind)
        if len(found) != 1:
            count = f"{len(found)} {word} keys" if found else f"no {word} key"
            raise TokenError(f"{self._place.label} has {count} called {label}: carlive keys list shows what there is")
        return found[0]


@_apart
def restart_library(module: Path) -> None:
    """Have the module look for tokens anew, after one was taken out; every open Token of this process ends."""
    library = _load_library(module)
    with _translating(f"{module} does not start again"):
        library.reinitialize()


def _load_library(module: Path) -> Any:
    if not module.is_absolute() or not module.is_file():
        raise TokenError(f"{module} is no file with an absolute path: give the PKCS#11 module of the token's vendor")
    try:
        return pkcs11.lib(str(module))
    except RuntimeError as error:  # the binding's own errors are of this kind too
        raise TokenError(f"{module} is no PKCS#11 module that can be used: {error}") from None


def _read_public_key(public_object: Any) -> PublicKey | str:
    """The key in the chain's form, or why it is none; CKA_EC_POINT may be wrapped in an OCTET STRING or bare."""
    if public_object.key_type not in (TokenKeyType.EC, TokenKeyType.EC_EDWARDS):
        return "not an elliptic curve key"
    parameters, point = public_object[Attribute.EC_PARAMS], public_object[Attribute.EC_POINT]
    key_type = _CURVES.get(parameters)
    if key_type is None:
        return "on a curve that the chain does not know"
    bare_lengths = (32,) if key_type is KeyType.ED25519 else (33, 65)
    if len(point) - 2 in bare_lengths and point[:2] == bytes([4, len(point) - 2]):
        point = point[2:]
    if len(point) not in bare_lengths:
        return f"its point has {len(point)} bytes"
    if len(point) == 65:
        if point[0] != 4:
            return "its point has no known form"
        point = bytes([2 + point[-1] % 2]) + point[1:33]
    public_key = PublicKey(key_type, bytes(point))
    try:
        check_public_key(public_key)
    except InvalidKeyError as error:
        return str(error)
    return public_key


@contextmanager
def _translating(what: str) -> Iterator[None]:
    """Name what failed; nothing of the binding's own error but its kind, and no chain that could show arguments."""
    try:
        yield
    except _PIN_FAULTS as error:
        raise PinRefusedError(
            f"{what}: the token refuses the PIN ({type(error).__name__}); it is not tried again, as that would lock it"
        ) from None
    except NoSuchToken:
        raise TokenUnavailableError(f"{what}: there is no token of that label") from None
    except MultipleTokensReturned:
        raise TokenError(f"{what}: more than one token has that label") from None
    except PKCS11Error as error:
        raise TokenUnavailableError(f"{what} ({type(error).__name__})") from None
