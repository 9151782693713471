"""Building and signing a transaction's bytes; asks nothing of a node."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from identity.address import Address, NetworkKind
from identity.keys import KeyType, PublicKey
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.primitives import ChainId, Gas, Grains, Height, Signature
from ledger.primitives import Sequence as SequenceNumber
from ledger.transaction import (
    FEE_PAYER,
    SENDER,
    TRANSACTION_VERSION,
    Authorisation,
    Call,
    Transaction,
    TransactionBody,
    UnorderedSalt,
    build_transaction,
    encode_body,
)
from vm.native.iov import BatchTransfer, Payment, Transfer

DRAFT_GAS: Final = 1_000_000  # as many bytes as any real limit has; the estimate does not depend on it


class AccountKey(Protocol):
    """A key of whatever kind: identity.keys.PrivateKey, or one in a token."""

    @property
    def key_type(self) -> KeyType:
        """Its curve."""
        ...

    @property
    def public_key(self) -> PublicKey:
        """What others verify with."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature in the form that the chain accepts."""
        ...


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What a signature is bound to."""

    network: NetworkKind
    chain_id: str
    domain: SigningDomain


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signs."""

    sender: Address
    sender_keys: Sequence[AccountKey]
    fee_payer: Address | None = None
    fee_payer_key: AccountKey | None = None


def build_transfer(recipient: Address, amount_grains: int) -> Call:
    """The call iov.transfer."""
    transfer = Transfer(recipient, Grains(amount_grains))
    return Call("iov", "transfer", [transfer.recipient, transfer.amount_grains])


def build_batch_transfer(payments: Sequence[tuple[Address, int]]) -> Call:
    """The call iov.batch_transfer."""
    batch = BatchTransfer(tuple(Payment(recipient, Grains(grains)) for recipient, grains in payments))
    return Call("iov", "batch_transfer", [[[each.recipient, each.amount_grains] for each in batch.payments]])


def build_draft(
    facts: ChainFacts, signers: Signers, ordering: int | bytes, valid_until: int, calls: Sequence[Call], memo: str
) -> TransactionBody:
    """A body without its price yet."""
    return TransactionBody(
        version=TRANSACTION_VERSION,
        chain_id=ChainId(facts.chain_id),
        sender=signers.sender,
        ordering=UnorderedSalt(ordering) if isinstance(ordering, bytes) else SequenceNumber(ordering),
        valid_until=Height(valid_until),
        gas_limit=Gas(DRAFT_GAS),
        fee_max_grains=Grains(DRAFT_GAS),
        fee_payer=signers.fee_payer,
        calls=tuple(calls),
        memo=memo,
    )


def put_price(draft: TransactionBody, gas_limit: int, price_grains: int) -> TransactionBody:
    """The body with its gas limit and the most that may be paid for it."""
    return replace(draft, gas_limit=Gas(gas_limit), fee_max_grains=Grains(gas_limit * price_grains))


def sign(body: TransactionBody, facts: ChainFacts, signers: Signers) -> Transaction:
    """The signed transaction; raises DecodeError when the body breaks a limit."""
    body_bytes = encode_body(body)
    message = signing_bytes(SigningPurpose.TRANSACTION, facts.domain, body_bytes)
    authorisations = [_authorise(key, SENDER, message) for key in signers.sender_keys]
    if signers.fee_payer_key is not None:
        authorisations.append(_authorise(signers.fee_payer_key, FEE_PAYER, message))
    return build_transaction(body_bytes, tuple(authorisations))


def _authorise(key: AccountKey, role: int, message: bytes) -> Authorisation:
    return Authorisation(role, key.key_type, key.public_key.key, Signature(key.sign(message)))
