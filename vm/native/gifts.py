"""Tips with a message, and gifts that wait for whoever has a link (paper 12.1).

| key                        | value                            |
|----------------------------|----------------------------------|
| gift_key(giver, claim key) | Gift that waits to be claimed    |

A link is the giver and the private half of a claim key. It signs for whom the gift is: a secret that was shown to claim
it could be copied from a transaction that waits, and used by whoever is faster.

Rules
* H1 `tip` and `tip_did` move coins like a transfer, and say why; for an identity they go to its account.
* H2 A gift lies in the account `gifts`, under its giver and its claim key, until it is claimed or refunded. One gift of
  a giver waits under a key; a key is made for one gift and not used again. What others give under a key that they have
  seen stands in nobody's way.
* H3 The claim key signs the recipient, with giver and expiry; whoever sends that, up to the block before the expiry,
  gives the gift to that recipient and nobody else.
* H4 From the first block of the expiry on anybody has it refunded, to its giver and nobody else.
* H5 A batch gives all its gifts or none.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Len

from identity.address import Address
from identity.did import Did
from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key, verify_signature
from identity.platform_account import ClaimKey
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import decode, encode
from ledger.primitives import INTEGER_MAX, Grains, Signature, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import gift_key
from vm.context import Context, Moment
from vm.gas import GAS_BYTE, GAS_KEY_CHECK, GAS_SIGNATURE, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.accounts import DAY_MS
from vm.native.did_records import GAS_DID_READ, get_active_did
from vm.native.iov import GIFTS_ADDRESS, Transfer, apply_transfer, check_recipient, credit, debit
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

MESSAGE_CHARACTERS_MAX: Final = 280  # a few sentences, kept in the block's receipts
GIFTS_PER_BATCH_MAX: Final = 200
EXPIRY_DAYS_MAX: Final = 366
"""A gift nobody claims comes back within a year."""

Message = Annotated[str, Len(0, MESSAGE_CHARACTERS_MAX)]


@dataclass(frozen=True, slots=True)
class Gift:
    """Coins that wait for whoever has the claim key."""

    amount_grains: Grains
    expires_ms: TimeMs
    """The first block of this time or later finds it expired."""
    message: Message


@dataclass(frozen=True, slots=True)
class GiftClaimPayload:
    """What the claim key signs."""

    claim_key: ClaimKey
    giver: Address
    expires_ms: TimeMs
    recipient: Address


@dataclass(frozen=True, slots=True)
class Tip:
    """Give coins to an account, with a message."""

    recipient: Address
    amount_grains: Grains
    message: Message


@dataclass(frozen=True, slots=True)
class TipDid:
    """Give coins to the account of an identity, with a message."""

    recipient: Did
    amount_grains: Grains
    message: Message


@dataclass(frozen=True, slots=True)
class GiftLine:
    """One gift of a batch."""

    claim_key: ClaimKey
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Give:
    """Let coins wait for whoever has the claim keys."""

    gifts: Annotated[tuple[GiftLine, ...], Len(1, GIFTS_PER_BATCH_MAX)]
    expires_ms: TimeMs
    message: Message


@dataclass(frozen=True, slots=True)
class Claim:
    """Give a gift to the account that its claim key has signed for."""

    claim_key: ClaimKey
    giver: Address
    recipient: Address
    signature: Signature


@dataclass(frozen=True, slots=True)
class Refund:
    """Give an expired gift back to its giver."""

    claim_key: ClaimKey
    giver: Address


@dataclass(frozen=True, slots=True)
class Tipped:
    """Somebody was given coins."""

    giver: Address
    recipient: Address
    amount_grains: Grains
    message: Message


@dataclass(frozen=True, slots=True)
class GiftMade:
    """Coins wait under a claim key."""

    claim_key: ClaimKey
    giver: Address
    amount_grains: Grains
    expires_ms: TimeMs


@dataclass(frozen=True, slots=True)
class GiftClaimed:
    """A gift was claimed."""

    claim_key: ClaimKey
    giver: Address
    recipient: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class GiftRefunded:
    """Nobody has claimed a gift in time."""

    claim_key: ClaimKey
    giver: Address
    amount_grains: Grains


def apply_tip(state: State, context: Context, call: Tip) -> None:
    """Rule H1."""
    _tip(state, context, call.recipient, call.amount_grains, call.message)


def apply_tip_did(state: State, context: Context, call: TipDid) -> None:
    """Rule H1."""
    account = get_active_did(state, call.recipient).account
    if account is None:
        raise Rejected(Reason.DID_NOT_LINKED, "the identity has no account")
    _tip(state, context, account, call.amount_grains, call.message)


def apply_give(state: State, context: Context, call: Give) -> None:
    """Rules H2 and H5."""
    now_ms, giver = context.block.time_ms, context.sender
    if not now_ms < call.expires_ms <= now_ms + EXPIRY_DAYS_MAX * DAY_MS:
        raise Rejected(
            Reason.BAD_GIFT,
            f"a gift expires after now and within {EXPIRY_DAYS_MAX} days",
            minimum=now_ms + 1,
            maximum=now_ms + EXPIRY_DAYS_MAX * DAY_MS,
        )
    total_grains = sum([line.amount_grains for line in call.gifts])
    if total_grains > INTEGER_MAX:
        raise Rejected(Reason.AMOUNT_OVERFLOW, "the gifts add up to more IOV than there are")
    debit(state, giver, total_grains, now_ms)
    credit(state, GIFTS_ADDRESS, total_grains, now_ms)
    for line in call.gifts:
        if line.amount_grains == 0:
            raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
        _check_claim_key(line.claim_key)
        if find_gift(state, giver, line.claim_key) is not None:
            raise Rejected(Reason.GIFT_EXISTS, "a gift of the sender waits under this claim key already")
        gift = Gift(line.amount_grains, call.expires_ms, call.message)
        state.put(gift_key(giver, line.claim_key), encode(gift))
        context.emit(MODULE.name, GiftMade.__name__, line.claim_key, giver, line.amount_grains, call.expires_ms)


def apply_claim(state: State, context: Context, call: Claim) -> None:
    """Rule H3."""
    gift = _get_gift(state, call.giver, call.claim_key)
    if context.block.time_ms >= gift.expires_ms:
        raise Rejected(Reason.GIFT_EXPIRED, "nobody has claimed the gift in time")
    check_recipient(state, call.recipient)
    payload = GiftClaimPayload(call.claim_key, call.giver, gift.expires_ms, call.recipient)
    message = signing_bytes(SigningPurpose.GIFT_CLAIM, context.block.domain, encode(payload))
    if not verify_signature(PublicKey(KeyType.ED25519, call.claim_key), message, call.signature):
        raise Rejected(Reason.BAD_CLAIM_SIGNATURE, "the gift's claim key has not signed for this recipient")
    _pay_out(state, context, call, gift, call.recipient)
    context.emit(MODULE.name, GiftClaimed.__name__, call.claim_key, call.giver, call.recipient, gift.amount_grains)


def apply_refund(state: State, context: Context, call: Refund) -> None:
    """Rule H4."""
    gift = _get_gift(state, call.giver, call.claim_key)
    if context.block.time_ms < gift.expires_ms:
        raise Rejected(Reason.GIFT_NOT_EXPIRED, "the gift may still be claimed", expires_ms=gift.expires_ms)
    _pay_out(state, context, call, gift, call.giver)
    context.emit(MODULE.name, GiftRefunded.__name__, call.claim_key, call.giver, gift.amount_grains)


def find_gift(state: StateReader, giver: Address, claim_key: ClaimKey) -> Gift | None:
    """The gift of an account that waits under a claim key."""
    encoded = state.get(gift_key(giver, claim_key))
    return None if encoded is None else decode(Gift, encoded)


def answer_gift(state: StateReader, _: Moment, claim_key: ClaimKey, giver: Address) -> Gift | None:
    """The view of it."""
    return find_gift(state, giver, claim_key)


def _tip(state: State, context: Context, recipient: Address, amount_grains: Grains, message: str) -> None:
    apply_transfer(state, context, Transfer(recipient, amount_grains))
    context.emit(MODULE.name, Tipped.__name__, context.sender, recipient, amount_grains, message)


def _get_gift(state: StateReader, giver: Address, claim_key: ClaimKey) -> Gift:
    gift = find_gift(state, giver, claim_key)
    if gift is None:
        raise Rejected(Reason.UNKNOWN_GIFT, "no gift of this giver waits under this claim key")
    return gift


def _check_claim_key(claim_key: ClaimKey) -> None:
    """A key for which anybody can make signatures would give the gift to anybody."""
    try:
        check_public_key(PublicKey(KeyType.ED25519, claim_key))
    except InvalidKeyError as error:
        raise Rejected(Reason.BAD_KEY, str(error)) from None


def _pay_out(state: State, context: Context, call: Claim | Refund, gift: Gift, recipient: Address) -> None:
    debit(state, GIFTS_ADDRESS, gift.amount_grains, context.block.time_ms)
    credit(state, recipient, gift.amount_grains, context.block.time_ms)
    state.delete(gift_key(call.giver, call.claim_key))


_TIP_GAS: Final = 2 * GAS_STATE_WRITE
_TIP_DID_GAS: Final = _TIP_GAS + GAS_DID_READ
_GIFT_GAS: Final = GAS_STATE_WRITE + GAS_STATE_READ + GAS_KEY_CHECK
_CLAIM_GAS: Final = 3 * GAS_STATE_WRITE + GAS_STATE_READ + GAS_SIGNATURE[KeyType.ED25519]
_REFUND_GAS: Final = 3 * GAS_STATE_WRITE + GAS_STATE_READ


def compute_give_gas(call: Give) -> int:
    """Every gift is kept with the message, whose bytes the transaction has once."""
    return 2 * GAS_STATE_WRITE + len(call.gifts) * (_GIFT_GAS + GAS_BYTE * len(call.message.encode()))


def _describe_message_gas(gas: int) -> str:
    return f"{gas}; the message is paid for with the transaction's bytes"


MODULE = ModuleRule(
    name="gifts",
    summary="Tips with a message, and gifts that are claimed with a link",
    calls=(
        CallRule("tip", Tip, apply_tip, lambda _: _TIP_GAS, _describe_message_gas(_TIP_GAS)),
        CallRule("tip_did", TipDid, apply_tip_did, lambda _: _TIP_DID_GAS, _describe_message_gas(_TIP_DID_GAS)),
        CallRule(
            "give",
            Give,
            apply_give,
            compute_give_gas,
            f"{2 * GAS_STATE_WRITE} + {_GIFT_GAS} and {GAS_BYTE} a byte of the message for each gift",
        ),
        CallRule("claim", Claim, apply_claim, lambda _: _CLAIM_GAS, str(_CLAIM_GAS)),
        CallRule("refund", Refund, apply_refund, lambda _: _REFUND_GAS, str(_REFUND_GAS)),
    ),
    events=tuple(map(EventRule, (Tipped, GiftMade, GiftClaimed, GiftRefunded))),
    views=(ViewRule("gift", (("claim_key", ClaimKey), ("giver", Address)), answer_gift),),
)
