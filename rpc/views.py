"""Ledger values as results: blocks, transactions, receipts, events and committees."""

from collections.abc import Sequence
from typing import Any, Literal

from identity.address import NetworkKind
from identity.did import Did
from identity.policy import KeyPolicy
from ledger.block import CertifiedBlock, CommitCertificate, Header
from ledger.codec import encode
from ledger.committee import Committee
from ledger.receipt import Event, Receipt, Status
from ledger.transaction import SENDER, Call, Transaction, TransactionBody, decode_transaction
from rpc.addresses import format_address
from rpc.arguments import ArgumentType, arguments_to_json, describe_fields, describe_type
from rpc.contract_interfaces import FindInterface, decode_call, decode_event, find_no_interface
from rpc.errors import get_contract_code, get_reason_name
from rpc.models import (
    AuthorisationView,
    BlockSummary,
    BlockView,
    CallDescription,
    CallView,
    CertificateSignature,
    CertificateView,
    CommitteeMember,
    CommitteeView,
    EventDescription,
    EventView,
    FieldView,
    HeaderView,
    ModuleDescription,
    PendingView,
    PolicyKey,
    PolicyView,
    ReceiptView,
    TransactionView,
    ViewDescription,
)
from vm.native.registry import CALLS, MODULES
from vm.native.role_table import get_role_needed
from vm.native.rules import ModuleRule

_STATUSES: dict[Status, Literal["succeeded", "failed", "skipped"]] = {
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.SKIPPED: "skipped",
}
_EVENT_FIELDS = {
    (module.name, rule.fields.__name__): rule.fields for module in MODULES.values() for rule in module.events
}


def build_header_view(header: Header) -> HeaderView:
    """Every field of a header."""
    return HeaderView(
        version=header.version,
        chain_id=header.chain_id,
        height=header.height,
        round=header.round,
        time_ms=header.time_ms,
        previous_hash=header.previous_hash,
        proposer=header.proposer,
        transactions_root=header.transactions_root,
        evidence_root=header.evidence_root,
        state_root=header.state_root,
        receipts_root=header.receipts_root,
        committee_hash=header.committee_hash,
        next_committee_hash=header.next_committee_hash,
        parameters_hash=header.parameters_hash,
    )


def build_certificate_view(certificate: CommitCertificate) -> CertificateView:
    """A certificate with its signatures by member."""
    return CertificateView(
        height=certificate.height,
        round=certificate.round,
        block_hash=certificate.block_hash,
        signatures=[
            CertificateSignature(member=member, signature=signature) for member, signature in certificate.signatures
        ],
    )


def build_committee_view(height: int, committee: Committee, network: NetworkKind) -> CommitteeView:
    """The members in the order that numbers them."""
    return CommitteeView(
        height=height,
        committee_hash=committee.hash,
        members=[
            CommitteeMember(operator=format_address(member.operator, network), consensus_key=member.consensus_key)
            for member in committee.members
        ],
        committee_bytes=encode(committee),
    )


def build_block_summary(certified: CertifiedBlock) -> BlockSummary:
    """What a list of blocks shows."""
    header = certified.block.header
    return BlockSummary(
        height=header.height,
        block_hash=header.hash,
        time_ms=header.time_ms,
        round=header.round,
        proposer=header.proposer,
        transaction_count=len(certified.block.transactions),
    )


def build_block_view(
    certified: CertifiedBlock, network: NetworkKind, find: FindInterface = find_no_interface, *, full: bool
) -> BlockView:
    """A block with its transactions by id, or decoded."""
    block = certified.block
    transactions = [decode_transaction(raw) for raw in block.transactions]
    return BlockView(
        height=block.header.height,
        block_hash=block.header.hash,
        header=build_header_view(block.header),
        transaction_ids=[transaction.id for transaction in transactions],
        transactions=[build_transaction_view(each, network, find) for each in transactions] if full else None,
        evidence=list(block.evidence),
        raw=encode(block) if full else None,
    )


def build_transaction_view(
    transaction: Transaction, network: NetworkKind, find: FindInterface = find_no_interface
) -> TransactionView:
    """A transaction as a wallet shows it; arguments of contracts are decoded as far as their interfaces are found."""
    body = transaction.body
    sequence, salt = get_ordering(body)
    return TransactionView(
        id=transaction.id,
        sender=format_address(body.sender, network),
        sequence=sequence,
        salt=salt,
        valid_until=body.valid_until,
        gas_limit=body.gas_limit,
        fee_max=body.fee_max_grains,
        fee_payer=None if body.fee_payer is None else format_address(body.fee_payer, network),
        calls=[build_call_view(each, network, find) for each in body.calls],
        memo=body.memo,
        authorisations=[
            AuthorisationView(
                role="sender" if each.role == SENDER else "feePayer",
                key_type=each.key_type.name.lower(),
                key=each.key,
                signature=each.signature,
            )
            for each in transaction.authorisations
        ],
        size_bytes=len(transaction.raw),
    )


def build_call_view(call: Call, network: NetworkKind, find: FindInterface) -> CallView:
    """A call with its arguments by name, when its module is known."""
    arguments = arguments_to_json(get_call_fields(call.module, call.call), call.arguments, network)
    return CallView(
        module=call.module, call=call.call, arguments=_add_decoded(arguments, decode_call(call, find, network))
    )


def build_pending_view(transaction: Transaction, network: NetworkKind) -> PendingView:
    """A waiting transaction in a list."""
    body = transaction.body
    return PendingView(
        id=transaction.id,
        sender=format_address(body.sender, network),
        sequence=get_ordering(body)[0],
        valid_until=body.valid_until,
        gas_limit=body.gas_limit,
        fee_max=body.fee_max_grains,
        size_bytes=len(transaction.raw),
    )


def build_receipt_view(receipt: Receipt, network: NetworkKind, find: FindInterface = find_no_interface) -> ReceiptView:
    """A receipt with its reason by name; events of contracts are decoded as far as their interfaces are found."""
    return ReceiptView(
        transaction_id=receipt.transaction_id,
        status=_STATUSES[receipt.status],
        reason=get_reason_name(receipt.reason) if receipt.reason else None,
        code=get_contract_code(receipt.reason),
        gas_used=receipt.gas_used,
        fee=receipt.fee_grains,
        events=[build_event_view(event, network, find) for event in receipt.events],
    )


def build_event_view(event: Event, network: NetworkKind, find: FindInterface = find_no_interface) -> EventView:
    """An event with its fields by name, when its module is known."""
    kind = _EVENT_FIELDS.get((event.module, event.name))
    described = None if kind is None else describe_fields(kind)
    fields = arguments_to_json(described, event.fields, network)
    decoded = decode_event(event, find, network)
    return EventView(module=event.module, name=event.name, fields=_add_decoded(fields, decoded))


def list_event_dids(event: Event) -> list[Did]:
    """Identities that an event of a native module names."""
    kind = _EVENT_FIELDS.get((event.module, event.name))
    if kind is None:
        return []
    described = zip(describe_fields(kind), event.fields, strict=True)
    return [Did(plain) for (_, each), plain in described if each.form == "did" and isinstance(plain, bytes)]


def build_policy_view(policy: KeyPolicy | None) -> PolicyView | None:
    """A key policy."""
    if policy is None:
        return None
    keys = [PolicyKey(key_type=each.key_type.name.lower(), key=each.key, weight=each.weight) for each in policy.keys]
    return PolicyView(threshold=policy.threshold, keys=keys)


def build_module_description(module: ModuleRule) -> ModuleDescription:
    """A module's calls, events and views with the types of their fields."""
    return ModuleDescription(
        name=module.name,
        summary=module.summary,
        calls=[
            CallDescription(
                name=rule.name,
                doc=rule.arguments.__doc__ or "",
                arguments=_list_field_views(rule.arguments),
                gas=rule.gas,
                role=get_role_needed(module.name, rule.name).name.lower(),
            )
            for rule in module.calls
        ],
        events=[
            EventDescription(
                name=rule.fields.__name__, doc=rule.fields.__doc__ or "", fields=_list_field_views(rule.fields)
            )
            for rule in module.events
        ],
        views=[
            ViewDescription(
                name=rule.name,
                arguments=[_build_field_view(name, describe_type(kind)) for name, kind in rule.arguments],
            )
            for rule in module.views
        ],
    )


def get_call_fields(module: str, call: str) -> Sequence[tuple[str, ArgumentType]] | None:
    """Argument names and types of a call; None when there is no such call."""
    ready = CALLS.get((module, call))
    return None if ready is None else describe_fields(ready.rule.arguments)


def get_ordering(body: TransactionBody) -> tuple[int | None, bytes | None]:
    """Sequence and salt; exactly one of them is set."""
    return (None, body.ordering) if isinstance(body.ordering, bytes) else (body.ordering, None)


def _add_decoded(named: dict[str, Any] | list[Any], decoded: dict[str, Any] | None) -> dict[str, Any] | list[Any]:
    """What a contract's interface says about its packed values, beside them."""
    return named if decoded is None or isinstance(named, list) else {**named, "decoded": decoded}


def _list_field_views(kind: type) -> list[FieldView]:
    return [_build_field_view(name, described) for name, described in describe_fields(kind)]


def _build_field_view(name: str, described: ArgumentType) -> FieldView:
    return FieldView(
        name=name,
        type=described.form,
        optional=described.is_optional,
        items=[_build_field_view("", item) for item in described.items],
        fields=[_build_field_view(each, kind) for each, kind in described.fields],
    )
