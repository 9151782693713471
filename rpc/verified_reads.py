"""Reads that a client checks itself: each is a plan that asks for calls, is sent their results, and returns a result.

A plan knows no connection, so the blocking and the asynchronous client, and the command line, run the same ones. What
a node says without proof goes into no result.
"""

from collections.abc import Callable, Generator
from typing import Any, Final, Literal, TypeVar

from consensus.light import CommitteeChange
from identity.address import Address, InvalidAddressError, NetworkKind
from ledger.block import CommitCertificate, Header
from ledger.codec import DecodeError, encode
from ledger.committee import Committee
from ledger.merkle import InclusionPath
from ledger.receipt import Receipt, Status
from ledger.state_keys import account_key
from ledger.state_proof import StateProof
from ledger.transaction import decode_transaction
from rpc import calls, models
from rpc.addresses import parse_address
from rpc.calls import Call
from rpc.errors import build_error, get_contract_code, get_reason_name
from rpc.json_codec import parse_hex
from rpc.proof_failure import ProofFailedError, ProofStep
from rpc.proofs import (
    CheckpointStart,
    Claim,
    CommitteeTrail,
    GenesisTrust,
    ProvenReceipt,
    ReceiptProof,
    Trust,
    check_account,
    check_claimed_value,
    check_header,
    check_receipt,
    check_value,
    decode_part,
    get_block_before,
    is_committee_of,
    list_more_account_keys,
    start_trail,
)
from rpc.views import (
    build_certificate_view,
    build_header_view,
    build_policy_view,
    build_receipt_view,
    build_transaction_view,
)
from vm.native.accounts import compute_coin_age_grain_days

T = TypeVar("T")
Plan = Generator[Call[Any], Any, T]
"""Yields calls, is sent their results, returns the answer; a call that fails is thrown into it."""

ATTEMPTS_MAX: Final = 4  # the head may move between two calls that must be about the same block


def fetch_start(trust: Trust) -> Plan[CheckpointStart | None]:
    """What leads on from a checkpoint; nothing is needed from genesis."""
    if isinstance(trust, GenesisTrust):
        return None
    identity = yield calls.chain_id()
    commit = yield calls.chain_get_commit(trust.height)
    header = decode_part(Header, commit.header_bytes)
    if header.hash != trust.block_hash:
        raise ProofFailedError(ProofStep.START, f"block {trust.height} is not the one of the checkpoint")
    committee = yield calls.chain_get_committee(trust.height)
    next_committee = None
    if header.next_committee_hash != header.committee_hash:
        following = yield calls.chain_get_committee(trust.height + 1)
        next_committee = decode_part(Committee, following.committee_bytes)
    return CheckpointStart(
        identity.genesis_hash,
        header,
        decode_part(CommitCertificate, commit.certificate_bytes),
        decode_part(Committee, committee.committee_bytes),
        next_committee,
    )


def follow_committees(trail: CommitteeTrail, header: Header) -> Plan[None]:
    """Follow the changes that lead to a header's committee; raises ProofFailedError when there are none."""
    while not trail.is_known(header):
        page = yield calls.chain_get_committee_changes(trail.next_height)
        wanted = [change for change in page.changes if change.height < header.height]
        if not wanted:
            raise ProofFailedError(
                ProofStep.COMMITTEES, f"no change of committee leads to the one that block {header.height} names"
            )
        for change in wanted:
            trail.follow(
                CommitteeChange(
                    decode_part(Header, change.header),
                    decode_part(CommitCertificate, change.certificate),
                    decode_part(Committee, change.committee),
                )
            )


def fetch_header_claim(height: int) -> Plan[Claim]:
    """A header with its certificate."""
    commit = yield calls.chain_get_commit(height)
    return Claim(
        decode_part(Header, commit.header_bytes),
        decode_part(CommitCertificate, commit.certificate_bytes),
        None,
        (),
        None,
    )


def fetch_value_claim(key: bytes, at: int | None) -> Plan[Claim]:
    """A state value with its proof."""
    result = yield calls.chain_get_proof(key, at)
    claim = _read_claim(result, (decode_part(StateProof, result.proof),), None)
    if result.key != key:
        raise ProofFailedError(ProofStep.STATE, "the answer is about another key")
    check_claimed_value(claim, key, result.value)
    return claim


def fetch_account_claim(address: Address, at: int | None) -> Plan[Claim]:
    """An account with its key policy and lock-ups, if it has some, and the header before, which tells the time."""
    for _ in range(ATTEMPTS_MAX):
        claim = yield from fetch_value_claim(account_key(address), at)
        header, values = claim.header, claim.values
        more = []
        for key in list_more_account_keys(address, values[0].value):
            more.append((yield from fetch_value_claim(key, max(header.height - 1, 0))))
        if any((each.header, each.certificate) != (header, claim.certificate) for each in more):
            continue
        for each in more:
            values += each.values
        previous = None
        if header.height > 0:
            commit = yield calls.chain_get_commit(header.height - 1)
            previous = decode_part(Header, commit.header_bytes)
        return Claim(header, claim.certificate, previous, values, None)
    raise ProofFailedError(ProofStep.BUNDLE, "the account and what belongs to it come with different headers")


def fetch_receipt_claim(transaction_id: bytes) -> Plan[Claim]:
    """A receipt with its proof."""
    result = yield calls.chain_get_receipt_proof(transaction_id)
    receipt, path = decode_part(Receipt, result.receipt), decode_part(InclusionPath, result.proof)
    return _read_claim(result, (), ReceiptProof(receipt, path))


class VerifiedReads:
    """Answers the reads that can be proven from proofs; keeps the committees it has followed."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._trail: CommitteeTrail | None = None
        self._network: NetworkKind | None = None

    def find_plan(self, call: Call[T]) -> Plan[T] | None:
        """The plan in place of a call; None for one that nothing proves."""
        build = _PLANS.get(call.method)
        return None if build is None else build(self, call)

    def get_trail(self) -> Plan[CommitteeTrail]:
        """The trail, begun with the first read."""
        if self._trail is None:
            start = yield from fetch_start(self._trust)
            self._trail = start_trail(self._trust, start)
        return self._trail

    def get_network(self) -> Plan[NetworkKind]:
        """How addresses are written; a node that lies about it writes the same address in another network's letters."""
        if self._network is None:
            identity = yield calls.chain_id()
            trail = yield from self.get_trail()
            if identity.genesis_hash != trail.genesis_hash or identity.chain_id != trail.chain_id:
                raise ProofFailedError(ProofStep.START, "the node is on another chain")
            self._network = NetworkKind[identity.network.upper()]
        return self._network

    def prove_receipt(self, transaction_id: bytes) -> Plan[ProvenReceipt]:
        """What became of a transaction."""
        claim = yield from fetch_receipt_claim(transaction_id)
        trail = yield from self._follow(claim.header)
        return check_receipt(trail, transaction_id, claim)

    def _follow(self, header: Header) -> Plan[CommitteeTrail]:
        trail = yield from self.get_trail()
        yield from follow_committees(trail, header)
        return trail

    def _read_account(self, call: Call[models.AccountResult]) -> Plan[models.AccountResult]:
        network = yield from self.get_network()
        address = _parse_address(call.params["address"], network)
        claim = yield from fetch_account_claim(address, _get_at(call))
        trail = yield from self._follow(claim.header)
        proven = check_account(trail, address, claim)
        _check_height(call, proven.height)
        account = proven.account
        return models.AccountResult(
            height=proven.height,
            block_hash=proven.block_hash,
            address=call.params["address"].lower(),
            sequence=account.sequence,
            balance=account.balance_grains,
            locked=proven.locked_grains,
            staked=account.staked_grains,
            coin_age_grain_days=compute_coin_age_grain_days(account, proven.time_ms),
            policy=build_policy_view(proven.policy),
        )

    def _read_balance(self, call: Call[models.BalanceResult]) -> Plan[models.BalanceResult]:
        account = yield from self._read_account(Call("account_get", call.params, models.AccountResult))
        return models.BalanceResult(
            height=account.height, block_hash=account.block_hash, address=account.address, balance=account.balance
        )

    def _read_commit(self, call: Call[models.Commit]) -> Plan[models.Commit]:
        height = call.params["height"]
        claim = yield from fetch_header_claim(height)
        trail = yield from self._follow(claim.header)
        header = check_header(trail, height, claim).header
        return models.Commit(
            height=header.height,
            block_hash=header.hash,
            header=build_header_view(header),
            certificate=build_certificate_view(claim.certificate),
            header_bytes=header.encoded,
            certificate_bytes=encode(claim.certificate),
        )

    def _read_head(self, _call: Call[models.Head]) -> Plan[models.Head]:
        head = yield calls.chain_head()
        commit = yield from self._read_commit(calls.chain_get_commit(head.height))
        return models.Head(height=commit.height, block_hash=commit.block_hash, time_ms=commit.header.time_ms)

    def _read_proof(self, call: Call[models.ProofResult]) -> Plan[models.ProofResult]:
        key = parse_hex(call.params["key"])
        result: models.ProofResult = yield call
        claim = _read_claim(result, (decode_part(StateProof, result.proof),), None)
        trail = yield from self._follow(claim.header)
        proven = check_value(trail, key, claim)
        _check_height(call, proven.height)
        if (result.key, result.value) != (key, proven.value):
            raise ProofFailedError(ProofStep.STATE, "the value beside the proof is another one")
        return result

    def _read_receipt_proof(self, call: Call[models.ReceiptProofResult]) -> Plan[models.ReceiptProofResult]:
        result: models.ReceiptProofResult = yield call
        receipt, path = decode_part(Receipt, result.receipt), decode_part(InclusionPath, result.proof)
        claim = _read_claim(result, (), ReceiptProof(receipt, path))
        trail = yield from self._follow(claim.header)
        check_receipt(trail, parse_hex(call.params["id"]), claim)
        return result

    def _read_status(self, call: Call[models.StatusResult]) -> Plan[models.StatusResult]:
        result: models.StatusResult = yield call
        if result.status not in ("final", "failed"):
            return result
        network = yield from self.get_network()
        proven = yield from self.prove_receipt(parse_hex(call.params["id"]))
        receipt = proven.receipt
        return models.StatusResult(
            id=receipt.transaction_id,
            status=_get_status(receipt),
            height=proven.height,
            reason=get_reason_name(receipt.reason) if receipt.reason else None,
            code=get_contract_code(receipt.reason),
            receipt=build_receipt_view(receipt, network),
        )

    def _read_transaction(self, call: Call[models.TransactionResult]) -> Plan[models.TransactionResult]:
        result = yield call
        identifier = parse_hex(call.params["id"])
        network = yield from self.get_network()
        try:
            transaction = decode_transaction(result.raw)
        except DecodeError as error:
            raise ProofFailedError(ProofStep.RECEIPT, f"the transaction does not decode ({error})") from None
        if transaction.id != identifier:
            raise ProofFailedError(ProofStep.RECEIPT, "the transaction has another id")
        view = build_transaction_view(transaction, network)
        if result.status == "pending":
            return models.TransactionResult(id=identifier, status="pending", transaction=view, raw=result.raw)
        proven = yield from self.prove_receipt(identifier)
        return models.TransactionResult(
            id=identifier,
            status=_get_status(proven.receipt),
            transaction=view,
            raw=result.raw,
            receipt=build_receipt_view(proven.receipt, network),
            height=proven.height,
            block_hash=proven.block_hash,
        )

    def _send(self, call: Call[models.SendResult]) -> Plan[models.SendResult]:
        result: models.SendResult = yield call
        identifier = decode_transaction(parse_hex(call.params["raw"])).id
        if result.id != identifier:
            raise ProofFailedError(ProofStep.RECEIPT, "the answer is about another transaction")
        if result.status not in ("final", "failed"):
            return result
        proven = yield from self.prove_receipt(identifier)
        receipt = proven.receipt
        return models.SendResult(
            id=identifier,
            known=result.known,
            status=_get_status(receipt),
            height=proven.height,
            reason=get_reason_name(receipt.reason) if receipt.reason else None,
            code=get_contract_code(receipt.reason),
            gas_used=receipt.gas_used,
            fee=receipt.fee_grains,
        )


def _read_claim(
    result: models.ProofResult | models.ReceiptProofResult,
    values: tuple[StateProof, ...],
    receipt: ReceiptProof | None,
) -> Claim:
    """The claim in an answer; what stands beside it must agree."""
    header = decode_part(Header, result.header)
    if not is_committee_of(result.committee, header):
        raise ProofFailedError(ProofStep.CERTIFICATE, "the committee beside the proof is not the header's")
    if (result.height, result.block_hash) != get_block_before(header):
        raise ProofFailedError(ProofStep.CERTIFICATE, "the block beside the proof is not the one before the header")
    return Claim(header, decode_part(CommitCertificate, result.certificate), None, values, receipt)


def _parse_address(text: str, network: NetworkKind) -> Address:
    try:
        return parse_address(text, network)
    except InvalidAddressError as error:
        raise build_error("BAD_ADDRESS", str(error)) from None


def _get_at(call: Call[Any]) -> int | None:
    at = call.params.get("at")
    return None if at is None else int(at["height"])


def _check_height(call: Call[Any], height: int) -> None:
    """Proven for another height than asked is not an answer; without one the node chooses, and says which."""
    asked = _get_at(call)
    if asked is not None and asked != height:
        raise ProofFailedError(ProofStep.CERTIFICATE, f"the proof is about block {height}, not {asked}")


def _get_status(receipt: Receipt) -> Literal["final", "failed"]:
    return "failed" if receipt.status is Status.FAILED else "final"


_PLANS: Final[dict[str, Callable[[VerifiedReads, Any], Plan[Any]]]] = {
    "account_get": VerifiedReads._read_account,
    "iov_balance": VerifiedReads._read_balance,
    "chain_getCommit": VerifiedReads._read_commit,
    "chain_getProof": VerifiedReads._read_proof,
    "chain_getReceiptProof": VerifiedReads._read_receipt_proof,
    "chain_getTransaction": VerifiedReads._read_transaction,
    "chain_head": VerifiedReads._read_head,
    "tx_send": VerifiedReads._send,
    "tx_status": VerifiedReads._read_status,
}
