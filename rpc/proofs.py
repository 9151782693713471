"""Proofs that ask for no trust in the node that gives them: only in the genesis document, or in one block's hash.

From there the committee is followed from one announced change to the next. Its certificate makes a header certain, the
header's roots make values, receipts and the block before certain. Everything here is pure: bytes in, facts out, or
ProofFailedError with the step that failed. Whatever a proof holds is bound: a changed bit fails a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, NoReturn, TypeVar

from annotated_types import Interval, Len

from consensus.certificate import InvalidCertificateError, check_certificate
from consensus.light import Checkpoint, CommitteeChange, TrustedPoint, follow, follow_change, trust_checkpoint
from genesis.build import build_committee, compute_genesis_hash
from genesis.document import GenesisDocument
from identity.address import Address
from identity.policy import KeyPolicy
from identity.signing import compute_signing_domain
from ledger.block import CommitCertificate, Header
from ledger.codec import DecodeError, decode, encode, unpack
from ledger.committee import Committee
from ledger.merkle import InclusionPath, compute_leaf_hash, compute_path_root
from ledger.primitives import BlockHash, ChainId, Height, Round, TimeMs
from ledger.receipt import Receipt, Status
from ledger.state_keys import account_key, lockups_key, policy_key
from ledger.state_proof import InvalidProof, StateProof, check_state_proof
from rpc.proof_failure import ProofFailedError, ProofStep
from vm.native.accounts import HAS_LOCKUPS, HAS_POLICY, Account, compute_movable_grains, get_account, get_policy

T = TypeVar("T")

BUNDLE_VERSION: Final = 1
BUNDLE_BYTES_MAX: Final = 64 * 2**20  # all changes of the longest trail, with committees of 21, fit
CHANGES_MAX: Final = 10_000  # 27 years with a new committee every day
VALUES_MAX: Final = 3  # an account, its key policy and its lock-ups


Report = Callable[[ProofStep, str], None]
"""Told of each step that holds."""


@dataclass(frozen=True, slots=True)
class GenesisTrust:
    """Block 0, known by its hash, and the committee that the genesis document names for the blocks after it."""

    chain_id: ChainId
    genesis_hash: BlockHash
    committee: Committee


Trust = GenesisTrust | Checkpoint


@dataclass(frozen=True, slots=True)
class CheckpointStart:
    """What leads on from a checkpoint: its header, who finalised it, and on which chain."""

    genesis_hash: BlockHash
    header: Header
    certificate: CommitCertificate
    committee: Committee
    next_committee: Committee | None
    """Nil when the same goes on."""


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """A receipt and its way to a receipts root."""

    receipt: Receipt
    path: InclusionPath


@dataclass(frozen=True, slots=True)
class Claim:
    """A certified header and what is shown with it; which parts there are depends on the question."""

    header: Header
    certificate: CommitCertificate
    previous: Header | None
    """The header before, for a question that needs its time."""
    values: Annotated[tuple[StateProof, ...], Len(0, VALUES_MAX)]
    receipt: ReceiptProof | None


@dataclass(frozen=True, slots=True)
class ProofBundle:
    """A claim with all that leads to it from what is trusted: enough without any node. A file holds its bytes."""

    version: Annotated[int, Interval(ge=BUNDLE_VERSION, le=BUNDLE_VERSION)]
    start: CheckpointStart | None
    """Nil when the trust is in the genesis document."""
    changes: Annotated[tuple[CommitteeChange, ...], Len(0, CHANGES_MAX)]
    claim: Claim


@dataclass(frozen=True, slots=True)
class ProvenHeader:
    """A final header."""

    header: Header


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    """An account after a block."""

    height: Height
    block_hash: BlockHash
    time_ms: TimeMs
    account: Account
    policy: KeyPolicy | None
    locked_grains: int
    """Of its balance."""


@dataclass(frozen=True, slots=True)
class ProvenValue:
    """A state value after a block, or its absence."""

    height: Height
    block_hash: BlockHash
    value: bytes | None


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """What became of a transaction, and in which block."""

    height: Height
    block_hash: BlockHash
    receipt: Receipt


class CommitteeTrail:
    """Who finalises which heights, as far as it was followed from what is trusted."""

    def __init__(
        self, chain_id: ChainId, genesis_hash: BlockHash, start: TrustedPoint, start_certificate: CommitCertificate
    ) -> None:
        """`start_certificate` is the only one that may come with the start's own header."""
        self.chain_id = chain_id
        self.genesis_hash = genesis_hash
        self.changes: list[CommitteeChange] = []
        self._domain = compute_signing_domain(chain_id, genesis_hash)
        self._start_certificate = start_certificate
        self._points = [start]

    @property
    def start(self) -> TrustedPoint:
        """What is trusted."""
        return self._points[0]

    @property
    def next_height(self) -> int:
        """Where to look for the change after the last one."""
        return self._points[-1].height + 1

    def is_known(self, header: Header) -> bool:
        """Whether the header names the committee of its height; if not, changes are missing or it is false."""
        if header.height <= self.start.height:
            return True
        return header.committee_hash == self._get_point(header.height).next_committee.hash

    def follow(self, change: CommitteeChange) -> None:
        """Take the next change; raises ProofFailedError."""
        if len(self.changes) == CHANGES_MAX:
            raise ProofFailedError(ProofStep.COMMITTEES, f"more than {CHANGES_MAX} changes: use a later checkpoint")
        self._check_chain(change.header, ProofStep.COMMITTEES)
        try:
            point = follow_change(self._points[-1], change, self._domain)
        except InvalidCertificateError as error:
            raise ProofFailedError(ProofStep.COMMITTEES, str(error)) from None
        self.changes.append(change)
        self._points.append(point)

    def check(self, header: Header, certificate: CommitCertificate) -> None:
        """That a header is final; raises ProofFailedError."""
        self._check_chain(header, ProofStep.CERTIFICATE)
        if header.height <= self.start.height:
            if header.hash != self.start.block_hash:
                raise ProofFailedError(
                    ProofStep.CERTIFICATE, f"block {header.height} is not after {self.start.height}, which is trusted"
                )
            if certificate != self._start_certificate:
                raise ProofFailedError(ProofStep.CERTIFICATE, f"block {header.height} comes with another certificate")
            return
        try:
            follow(self._get_point(header.height), (), header, certificate, self._domain)
        except InvalidCertificateError as error:
            raise ProofFailedError(ProofStep.CERTIFICATE, str(error)) from None

    def _get_point(self, height: int) -> TrustedPoint:
        """The last one before a height after the start."""
        return next(point for point in reversed(self._points) if point.height < height)

    def _check_chain(self, header: Header, step: ProofStep) -> None:
        if header.chain_id != self.chain_id:
            raise ProofFailedError(step, f"the header is of the chain {header.chain_id!r}")


def build_genesis_trust(document: GenesisDocument) -> GenesisTrust:
    """Trust in a genesis document that one has from elsewhere."""
    return GenesisTrust(ChainId(document.chain_id), compute_genesis_hash(document), build_committee(document))


def start_trail(trust: Trust, start: CheckpointStart | None) -> CommitteeTrail:
    """The trail's beginning; raises ProofFailedError when the start is not that of the checkpoint.

    A checkpoint's hash covers header and chain id; that its committee has signed in the signing domain of this genesis
    hash shows that the genesis hash is the chain's.
    """
    if isinstance(trust, GenesisTrust):
        if start is not None:
            raise ProofFailedError(ProofStep.START, "the proof starts at a checkpoint: say which one you trust")
        point = TrustedPoint(Height(0), trust.genesis_hash, trust.committee)
        return CommitteeTrail(trust.chain_id, trust.genesis_hash, point, _build_genesis_certificate(trust.genesis_hash))
    if start is None:
        raise ProofFailedError(ProofStep.START, "the proof starts at genesis: give the genesis document you trust")
    header = start.header
    try:
        point = trust_checkpoint(trust, header, start.next_committee or start.committee)
        if header.height > 0:
            domain = compute_signing_domain(header.chain_id, start.genesis_hash)
            check_certificate(start.certificate, header, start.committee, domain)
        elif start.committee.hash != header.committee_hash:
            raise InvalidCertificateError("block 0 names another committee")
    except InvalidCertificateError as error:
        raise ProofFailedError(ProofStep.START, str(error)) from None
    if start.next_committee == start.committee:
        raise ProofFailedError(ProofStep.START, "the same committee stands there twice")
    if header.height == 0:
        if start.genesis_hash != header.hash:
            raise ProofFailedError(ProofStep.START, "block 0 has another hash than the chain's genesis")
        if start.certificate != _build_genesis_certificate(header.hash):
            raise ProofFailedError(ProofStep.START, "block 0 comes with another certificate")
    return CommitteeTrail(header.chain_id, start.genesis_hash, point, start.certificate)


def check_header(trail: CommitteeTrail, height: int, claim: Claim, report: Report | None = None) -> ProvenHeader:
    """That the claim's header is the final one of this height."""
    if claim.values or claim.receipt is not None or claim.previous is not None:
        raise ProofFailedError(ProofStep.BUNDLE, "it holds more than a header")
    if claim.header.height != height:
        raise ProofFailedError(ProofStep.BUNDLE, f"it is about block {claim.header.height}, not {height}")
    _check_certified(trail, claim, report)
    return ProvenHeader(claim.header)


def check_claimed_value(claim: Claim, key: bytes, value: bytes | None) -> None:
    """That the one value of a claim leads to its header, whatever that header is worth, and is this one."""
    (proven,) = _check_values(claim, [key], None)
    if proven != value:
        raise ProofFailedError(ProofStep.STATE, "the value beside the proof is another one")


def check_value(trail: CommitteeTrail, key: bytes, claim: Claim, report: Report | None = None) -> ProvenValue:
    """That the claim's header states a root of a state in which the key has the value, or none."""
    if claim.receipt is not None or claim.previous is not None:
        raise ProofFailedError(ProofStep.BUNDLE, "it holds more than a value")
    _check_certified(trail, claim, report)
    (value,) = _check_values(claim, [key], report)
    return ProvenValue(*get_block_before(claim.header), value)


def check_account(trail: CommitteeTrail, address: Address, claim: Claim, report: Report | None = None) -> ProvenAccount:
    """What an account holds and has locked after the block before the claim's header, and who may sign for it."""
    if claim.receipt is not None or not claim.values:
        raise ProofFailedError(ProofStep.BUNDLE, "it is not about an account")
    _check_certified(trail, claim, report)
    time_ms = _check_previous(claim, report)
    keys = [account_key(address), *list_more_account_keys(address, claim.values[0].value)]
    if len(keys) != len(claim.values):
        raise ProofFailedError(
            ProofStep.BUNDLE, "the account's key policy or lock-ups are not shown, or shown where there are none"
        )
    state = _ProvenState(dict(zip(keys, _check_values(claim, keys, report), strict=True)))
    account = get_account(state, address)
    policy = get_policy(state, address) if account.flags & HAS_POLICY else None
    locked_grains = account.balance_grains - compute_movable_grains(state, address, account, time_ms)
    return ProvenAccount(*get_block_before(claim.header), time_ms, account, policy, locked_grains)


def list_more_account_keys(address: Address, encoded_account: bytes | None) -> list[bytes]:
    """Where the state holds the rest of what makes an account, if its record is right; raises ProofFailedError."""
    if encoded_account is None:
        return []
    try:
        flags = Account._make(unpack(encoded_account)).flags
    except (DecodeError, TypeError):
        raise ProofFailedError(ProofStep.STATE, "the value is no account") from None
    if type(flags) is not int:
        raise ProofFailedError(ProofStep.STATE, "the value is no account")
    policy = [policy_key(address)] if flags & HAS_POLICY else []
    return policy + ([lockups_key(address)] if flags & HAS_LOCKUPS else [])


def check_receipt(
    trail: CommitteeTrail, transaction_id: bytes, claim: Claim, report: Report | None = None
) -> ProvenReceipt:
    """What became of a transaction in the block before the claim's header."""
    if claim.receipt is None or claim.values or claim.previous is not None:
        raise ProofFailedError(ProofStep.BUNDLE, "it is not about a receipt")
    _check_certified(trail, claim, report)
    receipt, header = claim.receipt.receipt, claim.header
    if compute_path_root(claim.receipt.path, compute_leaf_hash(encode(receipt))) != header.receipts_root:
        raise ProofFailedError(ProofStep.RECEIPT, "the receipt does not lead to the receipts root of the header")
    if receipt.transaction_id != transaction_id:
        raise ProofFailedError(ProofStep.RECEIPT, "the receipt is that of another transaction")
    if receipt.status is Status.SKIPPED:
        raise ProofFailedError(ProofStep.RECEIPT, "the transaction was skipped in this block, which settles nothing")
    height, block_hash = get_block_before(header)
    if report is not None:
        report(ProofStep.RECEIPT, f"the receipt stands in block {height}")
    return ProvenReceipt(height, block_hash, receipt)


def check_bundle_trail(trust: Trust, bundle: ProofBundle, report: Report | None = None) -> CommitteeTrail:
    """Follow a bundle's committees up to its claim; raises ProofFailedError."""
    trail = start_trail(trust, bundle.start)
    if report is not None:
        place = "genesis" if isinstance(trust, GenesisTrust) else f"the checkpoint at block {trust.height}"
        report(ProofStep.START, f"{place} names a committee of {len(trail.start.next_committee.members)}")
    for change in bundle.changes:
        if change.header.height >= bundle.claim.header.height:
            raise ProofFailedError(ProofStep.BUNDLE, "it holds a change of committee that the claim does not need")
        trail.follow(change)
        if report is not None:
            report(
                ProofStep.COMMITTEES,
                f"block {change.header.height} names a new committee of {len(change.next_committee.members)}",
            )
    return trail


def encode_bundle(bundle: ProofBundle) -> bytes:
    """The bytes of a bundle's file."""
    return encode(bundle)


def decode_bundle(encoded: bytes) -> ProofBundle:
    """A bundle from a file's bytes; raises ProofFailedError."""
    if len(encoded) > BUNDLE_BYTES_MAX:
        raise ProofFailedError(ProofStep.BUNDLE, f"a bundle has at most {BUNDLE_BYTES_MAX} bytes")
    return decode_part(ProofBundle, encoded)


def decode_part(kind: type[T], encoded: bytes) -> T:
    """A piece of a proof from its bytes; raises ProofFailedError."""
    try:
        return decode(kind, encoded)
    except DecodeError as error:
        raise ProofFailedError(ProofStep.BUNDLE, f"the bytes are no {kind.__name__} ({error})") from None


def is_committee_of(encoded_committee: bytes, header: Header) -> bool:
    """Whether these are the bytes of the committee that the header names."""
    return sha256(encoded_committee).digest() == header.committee_hash


class _ProvenState:
    """The values that were proven, as a state to read from."""

    def __init__(self, values: dict[bytes, bytes | None]) -> None:
        self._values = values

    def get(self, key: bytes) -> bytes | None:
        return self._values[key]

    def iterate_range(self, start: bytes, stop: bytes) -> NoReturn:
        raise AssertionError("a proven state holds single values")

    def iterate_prefix(self, prefix: bytes) -> NoReturn:
        raise AssertionError(f"nothing is proven about all keys with {prefix.hex()}")


def _check_certified(trail: CommitteeTrail, claim: Claim, report: Report | None) -> None:
    trail.check(claim.header, claim.certificate)
    if report is not None:
        header = claim.header
        signed = f", signed by {len(claim.certificate.signatures)} members" if header.height else ""
        report(ProofStep.CERTIFICATE, f"block {header.height} is final{signed}")


def _check_values(claim: Claim, keys: Sequence[bytes], report: Report | None) -> list[bytes | None]:
    if len(claim.values) != len(keys):
        raise ProofFailedError(ProofStep.BUNDLE, f"it proves {len(claim.values)} values, not {len(keys)}")
    values = []
    for proof, key in zip(claim.values, keys, strict=True):
        try:
            values.append(check_state_proof(proof, key, claim.header.state_root))
        except InvalidProof as error:
            raise ProofFailedError(ProofStep.STATE, str(error)) from None
        if report is not None:
            fact = "has no value" if proof.value is None else f"has its value of {len(proof.value)} bytes"
            report(ProofStep.STATE, f"key 0x{key.hex()} {fact} under the state root")
    return values


def _check_previous(claim: Claim, report: Report | None) -> TimeMs:
    """The time of the block after which the state was so; genesis states its own."""
    header, previous = claim.header, claim.previous
    if header.height == 0:
        if previous is not None:
            raise ProofFailedError(ProofStep.BUNDLE, "nothing is before block 0")
        return header.time_ms
    if previous is None:
        raise ProofFailedError(ProofStep.BUNDLE, "the header before is missing")
    if previous.hash != header.previous_hash:
        raise ProofFailedError(ProofStep.PREVIOUS, f"it is not the header that block {header.height} names")
    if report is not None:
        report(ProofStep.PREVIOUS, f"block {previous.height} is the one before")
    return previous.time_ms


def _build_genesis_certificate(genesis_hash: BlockHash) -> CommitCertificate:
    return CommitCertificate(Height(0), Round(0), genesis_hash, ())


def get_block_before(header: Header) -> tuple[Height, BlockHash]:
    """The block after which the header's roots are those of the state and of the receipts; genesis is its own."""
    if header.height == 0:
        return Height(0), header.hash
    return Height(header.height - 1), header.previous_hash
