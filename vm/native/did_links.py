"""Accounts that act for identities: one account an identity, one identity an account."""

from collections.abc import Sequence
from dataclasses import dataclass

from identity.address import Address, compute_key_address
from identity.did import Did
from identity.keys import PublicKey
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context
from vm.native.accounts import HAS_POLICY, get_account
from vm.native.did_control import check_agreed, check_signatures, get_party
from vm.native.did_operations import get_present
from vm.native.did_payloads import DidSignature, DidSignatures, LinkPayload, VersionPayload
from vm.native.did_records import DidOperation, get_account_did, put_next_version


@dataclass(frozen=True, slots=True)
class LinkAccount:
    """Let an account, which agrees, act for an identity."""

    payload: LinkPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class UnlinkAccount:
    """Let the account act for the identity no more."""

    payload: VersionPayload
    signatures: DidSignatures


def apply_link_account(state: State, context: Context, call: LinkAccount) -> None:
    """Rules D8 and D14."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_LINK, encode(given), call.signatures)
    check_agreed(state, context, [get_party(state, context, given.did)], call.signatures)
    if record.account is not None:
        raise Rejected(Reason.DID_LINKED, "the identity has an account already")
    if get_account_did(state, given.account) is not None:
        raise Rejected(Reason.DID_LINKED, "the account is linked to an identity already")
    if context.sender != given.account and not _has_signed(state, given.did, given.account, call.signatures):
        raise Rejected(
            Reason.DID_ACCOUNT_NOT_CONSENTING,
            "the account does not send this, nor has the one key signed that rules it",
        )
    content, operation = record.current.content, DidOperation.LINK_ACCOUNT
    put_next_version(state, context, given.did, record, operation, encode(given), content, account=given.account)


def apply_unlink_account(state: State, context: Context, call: UnlinkAccount) -> None:
    """Rules D8 and D14."""
    given = call.payload
    record = get_present(state, given.did, given.previous)
    check_signatures(context, SigningPurpose.DID_UNLINK, encode(given), call.signatures)
    check_agreed(state, context, [get_party(state, context, given.did)], call.signatures)
    if record.account is None:
        raise Rejected(Reason.DID_NOT_LINKED, "the identity has no account")
    content, operation = record.current.content, DidOperation.UNLINK_ACCOUNT
    put_next_version(state, context, given.did, record, operation, encode(given), content, account=None)


def _has_signed(state: StateReader, did: Did, account: Address, signatures: Sequence[DidSignature]) -> bool:
    """Whether a key of the identity has signed that alone rules the account."""
    keys = [PublicKey(each.key_type, each.key) for each in signatures if each.did == did]
    is_key_address = any(compute_key_address(key) == account for key in keys)
    return is_key_address and not get_account(state, account).flags & HAS_POLICY
