"""What a signature is over: purpose and chain first, so a vote is never a transaction and nothing replays elsewhere."""

from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Len

_PREFIX: Final = b"carlive/1\x00"

SigningDomain = NewType("SigningDomain", Annotated[bytes, Len(32, 32)])


@unique
class SigningPurpose(IntEnum):
    """Wire number of what a key signs; never reused."""

    TRANSACTION = 1
    PROPOSAL = 2
    PREVOTE = 3
    PRECOMMIT = 4
    HELLO = 5
    CONSENSUS_KEY_POSSESSION = 6
    """That whoever registers a super node has its consensus key."""
    NODE_KEY_ROTATION = 7
    CONSENSUS_KEY_ROTATION = 8
    DID_CREATE = 9
    """What keys of an identity sign, from here to DID_UNLINK: one purpose for each operation."""
    DID_UPDATE = 10
    DID_ROTATE = 11
    DID_RECOVER = 12
    DID_TRANSFER = 13
    """Both the present and the new owner sign this."""
    DID_DEACTIVATE = 14
    DID_RECOVERY_REQUEST = 15
    """What guardians sign."""
    DID_OBJECTION = 16
    DID_LINK = 17
    DID_UNLINK = 18
    ATTRIBUTE_TAG = 19
    """What keys of an identity sign about its attributes, from here to ATTRIBUTE_WITHDRAWAL."""
    ATTRIBUTE_TAG_REMOVAL = 20
    ATTRIBUTE_REQUEST = 21
    """The only one that the asking side signs."""
    ATTRIBUTE_APPROVAL = 22
    ATTRIBUTE_REFUSAL = 23
    ATTRIBUTE_WITHDRAWAL = 24
    VIN_ATTESTATION = 30
    """What an attester signs, that a vehicle has a number."""
    VIN_WITHDRAWAL = 31
    VEHICLE_BINDING = 32
    """Both the owner and the vehicle sign this."""
    VEHICLE_GRANT = 33
    VEHICLE_REVOCATION = 34
    PLATFORM_BINDING = 35
    """Both the platform and the person sign this."""
    PLATFORM_UNBINDING = 36
    PLATFORM_MIGRATION = 37
    PLATFORM_CLAIM = 38
    """Both the person and the account's claim key sign this."""
    ROLE_GRANT = 40
    ROLE_REVOKE = 41
    ROLE_RENOUNCE = 42
    STATUS_LIST_ANCHOR = 43
    """What a key signs with which an issuer attests, about the status of what it has issued."""
    PSEUDONYM_LINK_BY_MAIN = 45
    """What keys of an identity confirm to an auditor, that a pseudonym is its own. No transaction has it."""
    PSEUDONYM_LINK_BY_PSEUDONYM = 46
    """The same, by the pseudonym's own keys."""
    GROWTH_REPORT = 47
    """What a reporter signs, that it has counted so much for an identity."""
    DISTRIBUTION_ROOT = 55
    """What attesters sign, that a root is right."""
    DISTRIBUTION_VOID = 56
    """What attesters sign, that it is not."""
    DISTRIBUTION_PAYOUT = 57
    SALE_PAYMENT = 59
    """What a cashier signs, that somebody has paid for a purchase."""
    SALE_WITHDRAWAL = 60
    """What a buyer signs to have the money back before a sale is closed."""
    SALE_REPAYMENT = 61
    """What a cashier signs, that what was owed for a purchase is paid back."""
    GIFT_CLAIM = 62
    """What a gift's claim key signs."""
    MINING_BATCH = 65
    """What attesters sign, that a day's records are these."""
    MINING_RECORD = 66
    """Both the user and the vehicle sign this."""
    MINING_WEIGHT = 67
    MINING_APPEAL = 68
    ADS_OFFER = 71
    """What a campaign's offerer signs."""
    ADS_ACCEPTANCE = 72
    """User, publisher and matcher sign this."""
    ADS_COMPLETION = 73
    """Both the user and the publisher sign this."""
    ADS_CHANNEL = 74
    """Both the offerer and the counterparty sign this."""
    ADS_BALANCE = 75
    """Keys of both sides of a channel sign this; it stays off the chain until it is settled."""


def compute_signing_domain(chain_id: str, genesis_hash: bytes) -> SigningDomain:
    """SHA-256(length of the chain id, 1 byte ‖ chain id ‖ genesis hash): differs after a re-genesis."""
    name = chain_id.encode()
    return SigningDomain(sha256(bytes([len(name)]) + name + genesis_hash).digest())


def signing_bytes(purpose: SigningPurpose, domain: SigningDomain, encoded: bytes) -> bytes:
    """The message a key signs: "carlive/1" 0x00 ‖ purpose, 1 byte ‖ domain, 32 bytes ‖ encoded value."""
    return _PREFIX + bytes([purpose]) + domain + encoded
