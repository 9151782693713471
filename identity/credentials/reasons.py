"""Why a credential, a presentation or a status list is refused."""

from enum import Enum


class CredentialReason(Enum):
    """The kind of rule that was broken."""

    MALFORMED = "malformed"
    """Not the form: base64url, JSON, fields, their types."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """Larger, deeper or more than we read."""
    ALGORITHM_REFUSED = "algorithm_refused"
    """The signature's algorithm is none of ours, or not the one of the key."""
    WRONG_TYPE = "wrong_type"
    """A token of another kind than was asked for."""
    BAD_SIGNATURE = "bad_signature"
    BAD_DISCLOSURE = "bad_disclosure"
    """A disclosure that the issuer did not sign, or that may not stand where it does."""
    NO_KEY_BINDING = "no_key_binding"
    """A proof of the holder was asked for, and there is none."""
    BAD_KEY_BINDING = "bad_key_binding"
    """The holder's proof is for another verifier, question, presentation or time, or was not asked for."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN_KEY = "unknown_key"
    """The key that the credential names is none of the issuer's."""
    BAD_CLAIM = "bad_claim"
    """A claim that credentials must have, or may not have, or not with this value."""


class CredentialError(ValueError):
    """A credential is refused; `reason` says by which kind of rule, the message how, without the holder's data."""

    def __init__(self, reason: CredentialReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
