"""Parameters and results of every method, written once: server, client, OpenRPC document and reference read these."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from identity.did import DID_CHARACTERS_MAX
from ledger.primitives import INTEGER_MAX, JSON_INTEGER_MAX
from ledger.state_keys import CONTRACT_KEY_BYTES_MAX
from ledger.transaction import TRANSACTION_BYTES_MAX
from rpc.cursors import CURSOR_CHARACTERS_MAX
from rpc.json_codec import format_hex, parse_grains, parse_hex
from rpc.settings import LIST_ITEMS_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX
from vm.native.mining_formulas import EPOCH_MAX as MINING_EPOCH_MAX

KEY_BYTES_MAX = 256  # longest state key anybody may ask a proof of
NAME_CHARACTERS_MAX = 64
VIEW_ARGUMENTS_MAX = 32
DEV_NODES_MAX = 64
WHOLE_NUMBER_DIGITS_MAX = 60
DEV_BLOCKS_MAX = 1_000
DID_TEXT_CHARACTERS_MAX = 256  # of any method, to say that it is another


_CONFIG: Final = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    frozen=True,
    defer_build=True,  # a client uses a few of the models only; a server calls build_models
)


class Params(BaseModel):
    """Parameters of a method: exact types, nothing unknown."""

    model_config = ConfigDict(**_CONFIG, extra="forbid", strict=True)


class Result(BaseModel):
    """A result; a later version may add fields, so a client ignores those it does not know."""

    model_config = ConfigDict(**_CONFIG, extra="ignore")


def build_models() -> None:
    """Build every model now: built on first use, threads would race for it."""
    waiting: list[type[BaseModel]] = [Params, Result]
    while waiting:
        model = waiting.pop()
        model.model_rebuild()
        waiting.extend(model.__subclasses__())


def _read_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("bytes are written 0x and lower-case hexadecimal digits")
    return parse_hex(value)


def _read_grains(value: object) -> int:
    """Results are built from integers on the node and from text in a client."""
    if isinstance(value, str):
        return parse_grains(value)
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise ValueError("an amount is a decimal string of grains")
    return value


def _read_grains_text(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("an amount is a decimal string of grains")
    return parse_grains(value)


def _read_whole_number(value: object) -> int:
    """Like an amount, without its upper limit."""
    if isinstance(value, str) and 0 < len(value) <= WHOLE_NUMBER_DIGITS_MAX and value.isascii() and value.isdigit():
        return int(value)
    if type(value) is not int or value < 0:
        raise ValueError("a number is a string of decimal digits")
    return value


def _hex_schema(pattern: str, doc: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "description": doc})


_GRAINS_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^(0|[1-9][0-9]{0,18})$", "description": "Grains."})

Bytes = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    PlainSerializer(format_hex, return_type=str),
    _hex_schema("^0x([0-9a-f]{2})*$", "Bytes."),
]
Hash = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    Field(min_length=32, max_length=32),
    PlainSerializer(format_hex, return_type=str),
    _hex_schema("^0x[0-9a-f]{64}$", "32 bytes."),
]
Raw = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    Field(max_length=TRANSACTION_BYTES_MAX),
    PlainSerializer(format_hex, return_type=str),
    _hex_schema("^0x([0-9a-f]{2})*$", f"A signed transaction, at most {TRANSACTION_BYTES_MAX} bytes."),
]
StateKey = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    Field(min_length=1, max_length=KEY_BYTES_MAX),
    PlainSerializer(format_hex, return_type=str),
    _hex_schema("^0x([0-9a-f]{2})+$", "A raw state key."),
]
ContractKey = Annotated[
    bytes,
    BeforeValidator(_read_bytes),
    Field(max_length=CONTRACT_KEY_BYTES_MAX),
    PlainSerializer(format_hex, return_type=str),
    _hex_schema("^0x([0-9a-f]{2})*$", "A contract's raw storage key."),
]
Grains = Annotated[
    int, BeforeValidator(_read_grains), PlainSerializer(lambda grains: str(grains), return_type=str), _GRAINS_SCHEMA
]
GrainsParam = Annotated[
    int,
    BeforeValidator(_read_grains_text),
    PlainSerializer(lambda grains: str(grains), return_type=str),
    _GRAINS_SCHEMA,
]
WholeNumber = Annotated[
    int,
    BeforeValidator(_read_whole_number),
    PlainSerializer(lambda number: str(number), return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(0|[1-9][0-9]*)$", "description": "A number of any size."}),
]
Integer = Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]
AddressText = Annotated[str, Field(min_length=1, max_length=90, description="Bech32m address of this network.")]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]
CursorText = Annotated[str, Field(max_length=CURSOR_CHARACTERS_MAX, description="Opaque; from an earlier answer.")]
Limit = Annotated[int, Field(ge=1, le=LIST_ITEMS_MAX, description="Entries at most.")]
WaitMs = Annotated[int, Field(ge=0, le=WAIT_MS_MAX, description="How long to wait for finality.")]


class AtHeight(Params):
    """The state after one block."""

    height: Integer


At = Annotated[Literal["final"] | AtHeight, Field(description='"final", or {"height": n}.')]


class ReadResult(Result):
    """What was read, and the final block after which it was so."""

    height: Integer
    block_hash: Hash


# rpc, node


class NoParams(Params):
    """Takes no parameters."""


class NodeInfo(Result):
    """Who this node is."""

    version: str
    network: Literal["mainnet", "testnet", "devnet"]
    chain_id: str
    genesis_hash: Hash
    name: str
    node_key: Hash
    super_node: bool
    """Whether it sits in the committee of the next block."""
    consensus_key: Hash | None = None
    operator: AddressText | None = None


class NodeStatus(Result):
    """How this node is doing."""

    height: Integer
    block_hash: Hash
    time_ms: Integer
    syncing: bool
    target_height: Integer | None = None
    """Highest final height a peer claims, while catching up."""
    earliest_height: Integer
    peers: Integer
    version: str
    super_node: bool
    pending: Integer
    """Transactions waiting for a block."""
    epoch: Integer | None = None
    """Number of the epoch going on."""
    seat: Integer | None = None
    """Its member's number in the committee of the next block, from 0."""
    member: Literal["present", "put_off", "jailed", "standing", "retired"] | None = None
    """How its operator's candidate is doing; standing: a candidate without a seat. Null for a node that never votes."""
    waiting_for: str | None = None
    """What the node waits for, when no block came for a while."""
    snapshot_keys_done: Integer | None = None
    """Keys of the state that have been downloaded, while a node without data downloads its first state."""
    snapshot_keys_total: Integer | None = None
    """Keys of that state, estimated."""


class Peer(Result):
    """A connected node."""

    node_key: Hash
    name: str
    address: str
    is_inbound: bool
    super_node: bool
    height: Integer
    score: int = 0


class Peers(Result):
    """All connected nodes."""

    peers: list[Peer]


# chain


class ChainIdentity(Result):
    """What signatures of this chain are bound to."""

    chain_id: str
    genesis_hash: Hash
    network: Literal["mainnet", "testnet", "devnet"]


class Head(ReadResult):
    """The last final block."""

    time_ms: Integer


class Genesis(Result):
    """The genesis document as the node read it."""

    genesis_hash: Hash
    document: dict[str, Any]


class AtParams(Params):
    """When to read."""

    at: At = "final"


class ChainParameters(ReadResult):
    """The chain's parameters; amounts are decimal strings."""

    params: dict[str, int | str]


class GetBlockParams(Params):
    """Which block; by exactly one of height and hash."""

    height: Integer | None = None
    hash: Hash | None = None
    full: bool = False
    """Whether transactions come decoded instead of by id only."""


class HeaderView(Result):
    """A block header."""

    version: int
    chain_id: str
    height: Integer
    round: Integer
    time_ms: Integer
    previous_hash: Hash
    proposer: Hash
    transactions_root: Hash
    evidence_root: Hash
    state_root: Hash
    """After the previous block."""
    receipts_root: Hash
    """Of the previous block."""
    committee_hash: Hash
    next_committee_hash: Hash
    parameters_hash: Hash


class CallView(Result):
    """One call of a transaction."""

    module: str
    call: str
    arguments: dict[str, Any] | list[Any]
    """By name when the module is known, else the bare list; a call of a contract also has `decoded`."""


class AuthorisationView(Result):
    """A signature."""

    role: Literal["sender", "feePayer"]
    key_type: str
    key: Bytes
    signature: Bytes


class TransactionView(Result):
    """A decoded transaction."""

    id: Hash
    sender: AddressText
    sequence: Integer | None = None
    """Null for an unordered transaction."""
    salt: Bytes | None = None
    """Null for an ordered transaction."""
    valid_until: Integer
    gas_limit: Integer
    fee_max: Grains
    fee_payer: AddressText | None = None
    calls: list[CallView]
    memo: str
    authorisations: list[AuthorisationView]
    size_bytes: Integer


class BlockView(ReadResult):
    """A final block."""

    header: HeaderView
    transaction_ids: list[Hash]
    transactions: list[TransactionView] | None = None
    """Decoded, when asked for in full."""
    evidence: list[Bytes]
    raw: Bytes | None = None
    """The whole block's bytes, when asked for in full: whoever audits the chain executes these."""


class BlockSummary(ReadResult):
    """A block in a list."""

    time_ms: Integer
    round: Integer
    proposer: Hash
    transaction_count: Integer


class GetBlocksParams(Params):
    """A range of heights, both ends included."""

    from_height: Annotated[Integer, Field(alias="from")]
    to_height: Annotated[Integer | None, Field(alias="to")] = None
    """The head when left out."""


class Blocks(Result):
    """Blocks in rising order."""

    blocks: list[BlockSummary]
    next_height: Integer | None = None
    """Where to go on when the range was longer than a page."""


class HeightParams(Params):
    """A final block's height."""

    height: Integer


class EventView(Result):
    """Something a module announced."""

    module: str
    name: str
    fields: dict[str, Any] | list[Any]
    """By name when the module is known, else the bare list; what a contract announced also has `decoded`."""


class ReceiptView(Result):
    """What became of a transaction."""

    transaction_id: Hash
    status: Literal["succeeded", "failed", "skipped"]
    reason: str | None = None
    code: Integer | None = None
    """A contract's own, with the reason CONTRACT_CODE."""
    gas_used: Integer
    fee: Grains
    events: list[EventView]


class BlockResults(ReadResult):
    """Receipts in the block's order, and what happened at the block's end."""

    receipts: list[ReceiptView]
    events: list[EventView] = []
    """Of no transaction: elections, decisions, punishments and releases, after all transactions."""


class CertificateSignature(Result):
    """A member's precommit."""

    member: Integer
    signature: Bytes


class CertificateView(Result):
    """More than two thirds of the committee's precommits."""

    height: Integer
    round: Integer
    block_hash: Hash
    signatures: list[CertificateSignature]


class Commit(ReadResult):
    """Header and certificate, readable and as the bytes that signatures and hashes cover."""

    header: HeaderView
    certificate: CertificateView
    header_bytes: Bytes
    certificate_bytes: Bytes


class CommitteeMember(Result):
    """A seat."""

    operator: AddressText
    consensus_key: Hash


class CommitteeView(Result):
    """Who finalises the block of this height, in the order that numbers them."""

    height: Integer
    committee_hash: Hash
    members: list[CommitteeMember]
    committee_bytes: Bytes


class TransactionIdParams(Params):
    """A transaction's id: the hash of its body."""

    id: Hash


class TransactionResult(Result):
    """A transaction and where it stands."""

    id: Hash
    status: Literal["pending", "final", "failed"]
    transaction: TransactionView
    raw: Bytes
    receipt: ReceiptView | None = None
    height: Integer | None = None
    block_hash: Hash | None = None
    index: Integer | None = None


class GetProofParams(Params):
    """A raw state key, as the protocol's table of keys defines it."""

    key: StateKey
    at: At = "final"


class ProofResult(ReadResult):
    """A value with everything needed to check it against a committee one trusts.

    Height is the block after which the value held; the header that certifies its state root is the next one.
    """

    key: Bytes
    value: Bytes | None
    proof: Bytes
    header: Bytes
    certificate: Bytes
    committee: Bytes


class CommitteeChangesParams(Params):
    """From which height on, and how many."""

    from_height: Annotated[Integer, Field(alias="from")] = 0
    limit: Limit = LIST_ITEMS_MAX


class CommitteeChangeView(Result):
    """A block that announced another committee, with what proves it."""

    height: Integer
    header: Bytes
    certificate: Bytes
    committee: Bytes
    """Who finalises the blocks after this one."""


class CommitteeChanges(Result):
    """Changes in rising order. Kept even where the blocks are pruned."""

    changes: list[CommitteeChangeView]
    next_height: Integer | None = None
    """Where to go on; null when there are no more."""


class ReceiptProofResult(ReadResult):
    """A receipt with everything needed to check it against a committee one trusts.

    Height is that of the block with the transaction; the header that certifies its receipts root is the next one.
    """

    receipt: Bytes
    proof: Bytes
    """RFC 6962 audit path from the receipt's leaf to the receipts root, with the side of each sibling."""
    header: Bytes
    certificate: Bytes
    committee: Bytes


# tx


class SendParams(Params):
    """A signed transaction."""

    raw: Raw
    wait: Literal["admitted", "final"] = "admitted"
    timeout_ms: WaitMs = WAIT_MS_DEFAULT


class SendResult(Result):
    """An admitted transaction; with wait "final", also what became of it within the time."""

    id: Hash
    known: bool
    status: Literal["pending", "final", "failed", "dropped", "unknown"]
    height: Integer | None = None
    reason: str | None = None
    code: Integer | None = None
    """A contract's own, with the reason CONTRACT_CODE."""
    gas_used: Integer | None = None
    fee: Grains | None = None


class SimulateParams(Params):
    """A transaction; its signatures are not checked."""

    raw: Raw
    at: At = "final"


class SimulateResult(ReadResult):
    """What the transaction would have done."""

    receipt: ReceiptView
    log: list[str] = []
    """What contracts logged, and why calls they made failed."""


class RawParams(Params):
    """A transaction's bytes."""

    raw: Raw


class Estimate(Result):
    """A gas limit that suffices at the head, and the least fee for it."""

    gas_limit: Integer
    fee_max: Grains


class StatusResult(Result):
    """Where a transaction stands."""

    id: Hash
    status: Literal["pending", "final", "failed", "dropped", "unknown"]
    height: Integer | None = None
    index: Integer | None = None
    reason: str | None = None
    """Why it failed or was dropped."""
    code: Integer | None = None
    """A contract's own, with the reason CONTRACT_CODE."""
    detail: str | None = None
    """For people: what a pending transaction waits for."""
    receipt: ReceiptView | None = None


class PendingParams(Params):
    """Whose waiting transactions; everybody's when left out."""

    sender: AddressText | None = None
    limit: Limit = LIST_ITEMS_MAX
    cursor: CursorText | None = None


class PendingView(Result):
    """A waiting transaction."""

    id: Hash
    sender: AddressText
    sequence: Integer | None = None
    valid_until: Integer
    gas_limit: Integer
    fee_max: Grains
    size_bytes: Integer


class PendingResult(Result):
    """A page of waiting transactions."""

    transactions: list[PendingView]
    cursor: CursorText | None = None
    """Null on the last page."""


# account, iov


class AddressAtParams(Params):
    """An account, and when to read."""

    address: AddressText
    at: At = "final"


class PolicyKey(Result):
    """A key that may sign for an account."""

    key_type: str
    key: Bytes
    weight: Integer


class PolicyView(Result):
    """Signatures that together weigh the threshold rule the account."""

    threshold: Integer
    keys: list[PolicyKey]


class AccountResult(ReadResult):
    """An account; one that was never used has sequence 0 and no balance."""

    address: AddressText
    sequence: Integer
    """Number of its next ordered transaction."""
    balance: Grains
    locked: Grains
    """Part of the balance that cannot be moved now."""
    staked: Grains
    """What it has put into stake, beside the balance."""
    coin_age_grain_days: WholeNumber
    """Balance and stake times how long they have been held, up to the block answered for, in whole grain-days."""
    policy: PolicyView | None = None
    """Null while the single key rules whose hash the address is."""
    did: str | None = None
    """The identity it acts for; a verifying client does not ask for it."""


class HistoryParams(Params):
    """Whose history, newest first."""

    address: AddressText
    limit: Limit = 50
    cursor: CursorText | None = None


class HistoryEntry(Result):
    """A transaction that touched the account."""

    id: Hash
    height: Integer
    index: Integer


class HistoryResult(Result):
    """A page of history."""

    entries: list[HistoryEntry]
    earliest_height: Integer = 0
    """The node knows of no transactions below this height."""
    cursor: CursorText | None = None
    """Null on the last page."""


class SupplyResult(ReadResult):
    """All the IOV there is."""

    supply: Grains


class BalanceResult(ReadResult):
    """What an account holds."""

    address: AddressText
    balance: Grains


# staking


class CandidatesParams(Params):
    """A page of candidates, the strongest first."""

    limit: Limit = 50
    cursor: CursorText | None = None
    at: At = "final"


class CandidateView(Result):
    """An operator that stands for election, or whose stake has not all left yet."""

    operator: AddressText
    name: str | None = None
    """By which governance admitted it; null once its admission was taken away."""
    status: Literal["member", "standing", "jailed", "retired"]
    """A member sits in the committee of the next block or of the one after."""
    stake: Grains
    """Everything behind it: its own bond and what others delegate."""
    bond: Grains
    """Its own part of that."""
    commission_bps: Integer
    next_commission_bps: Integer
    """From the next epoch on."""
    jailed_until_epoch: Integer | None = None
    """From this epoch on it may come back; null when it is not jailed."""


class Candidates(ReadResult):
    """A page of candidates."""

    candidates: list[CandidateView]
    cursor: CursorText | None = None
    """Null on the last page."""


class DelegationView(Result):
    """Stake of a holder with a candidate; an operator's own bond is its delegation to itself."""

    operator: AddressText
    value: Grains
    """What it is worth now, with what it earned and what was slashed."""


class UnbondingView(Result):
    """Stake on its way back to its holder."""

    operator: AddressText
    """Whom it left; it is slashed with that candidate until it left."""
    value: Grains
    release_epoch: Integer
    """It comes back when this epoch begins."""


class DelegationsResult(ReadResult):
    """All stake of one holder, by operator and by release."""

    address: AddressText
    delegations: list[DelegationView]
    unbondings: list[UnbondingView]


class EpochParams(Params):
    """Which epoch; the one going on when left out."""

    n: Integer | None = None


class AbsenceView(Result):
    """A member that missed its last turns to propose."""

    operator: AddressText
    misses: Integer
    """Turns missed in a row in this epoch."""
    put_off_until: Integer
    """Up to this height it proposes only when all others fail."""
    away_since: Integer
    """Height of the first turn missed in a row."""


class EpochResult(ReadResult):
    """An epoch, as the state after this block has it."""

    number: Integer
    first_height: Integer
    last_height: Integer
    """With this block it ends; for the one going on, unless governance changes its length."""
    is_over: bool
    committee: CommitteeView
    """Finalises the block of the committee's height: the next one, or the first one of an epoch that is over."""
    next_committee: CommitteeView | None = None
    """Of the block after that; null for an epoch that is over."""
    absences: list[AbsenceView] = []
    fees: Grains | None = None
    """Gathered for its members so far; null for an epoch that is over."""


# governance


ProposalStatus = Literal["voting", "passed", "rejected", "expired", "applied", "failed"]
ProposalKind = Literal[
    "admit_operator",
    "remove_operator",
    "set_parameter",
    "set_body",
    "spend",
    "pause",
    "resume",
    "certify_developer",
    "decertify_developer",
    "approve_code",
    "upgrade_contract",
    "recognise",
    "withdraw_recognition",
    "grant_role",
    "revoke_role",
    "define_task",
    "end_task",
    "create_source",
    "set_source_rules",
    "resume_source",
    "void_root",
    "grant_locked",
    "revoke_lockup",
    "open_sale",
    "close_sale",
    "approve_acceptor",
    "delist_acceptor",
    "set_acceptor_rules",
    "declare_dividend",
    "set_mining_rules",
    "set_mining_behaviour",
    "end_mining_behaviour",
    "reinstate_mining_attester",
    "void_mining_batch",
    "set_mining_source",
    "set_ads_rules",
]
PriorityName = Literal["normal", "urgent", "emergency"]
BodyName = Literal["committee", "foundation", "technical", "financial"]


class ProposalsParams(Params):
    """A page of proposals, the newest first; with an id only that one."""

    status: ProposalStatus | None = None
    limit: Limit = 50
    cursor: CursorText | None = None
    id: Integer | None = None
    at: At = "final"


class ProposalView(Result):
    """A question to a body, its votes, and what became of it."""

    id: Integer
    kind: ProposalKind
    arguments: dict[str, Any] | list[Any]
    """What it wants, by name."""
    title: str
    proposer: AddressText
    body: BodyName
    """Who decides; the committee does for a body in which nobody sits."""
    priority: PriorityName
    status: ProposalStatus
    first_height: Integer
    deadline: Integer
    """The last block that counts votes."""
    effective_height: Integer
    ayes: list[AddressText]
    noes: list[AddressText]
    electors: Integer
    """How many may vote now."""
    ayes_needed: Integer
    """With so many of them it passes."""


class Proposals(ReadResult):
    """A page of proposals; one that is narrowed to a status may be short although there are more."""

    proposals: list[ProposalView]
    cursor: CursorText | None = None
    """Null on the last page."""


class GovParameter(Result):
    """A parameter that governance may change; amounts are decimal strings of grains."""

    name: str
    value: int | str
    least: int | str
    most: int | str
    meaning: str


class GovParameters(ReadResult):
    """All parameters in the order of their record."""

    params: list[GovParameter]


class BudgetView(Result):
    """A budget of the treasury."""

    category: str
    percent: Integer
    """Its part of everything that comes in."""
    address: AddressText
    balance: Grains


class TreasuryResult(ReadResult):
    """What the treasury's budgets hold."""

    budgets: list[BudgetView]
    total: Grains


# network


class NodesParams(Params):
    """A page of registered nodes, in the order of their keys."""

    limit: Limit = 50
    cursor: CursorText | None = None
    at: At = "final"


class NodeEntry(Result):
    """A node that may connect."""

    node_key: Hash
    certificate_signature: Bytes
    """With the key it rebuilds the node's certificate."""
    operator: AddressText
    operator_name: str | None = None
    role: Literal["super_node", "observer", "gateway"]
    name: str
    addresses: list[str]
    """host:port, where it listens for peers."""
    consensus_key: Hash | None = None
    """What a super node votes with."""


class Nodes(ReadResult):
    """A page of the registry."""

    nodes: list[NodeEntry]
    cursor: CursorText | None = None
    """Null on the last page."""


# did

DidText = Annotated[str, Field(min_length=1, max_length=DID_CHARACTERS_MAX, description="did:iov:… of this network.")]


class DidResolveParams(Params):
    """An identity, and which version of it: at most one of id and time, else the present one."""

    did: Annotated[str, Field(min_length=1, max_length=DID_TEXT_CHARACTERS_MAX)]
    version_id: Annotated[str, Field(max_length=66)] | None = None
    """As an earlier answer gives it."""
    version_time: Annotated[str, Field(max_length=20)] | None = None
    """For instance 2026-05-10T17:00:00Z: the version in force at the end of that second."""


class DidResolution(ReadResult):
    """A DID resolution result."""

    did_document: dict[str, Any] | None
    """Null when the identity is deactivated."""
    did_resolution_metadata: dict[str, Any]
    did_document_metadata: dict[str, Any]
    """created, updated, deactivated, versionId, nextVersionId, canonicalId, and what this method adds."""


class DidHistoryParams(Params):
    """An identity, and which page of its versions."""

    did: DidText
    limit: Limit = 50
    cursor: CursorText | None = None


class DidVersionView(Result):
    """A version of an identity."""

    number: Integer
    version_id: Hash
    operation: str
    """create, update, rotate, recover, transfer, deactivate, recover_by_guardians, object, link_account or
    unlink_account."""
    height: Integer
    time_ms: Integer


class DidHistory(ReadResult):
    """A page of versions, the newest first."""

    versions: list[DidVersionView]
    cursor: CursorText | None = None
    """Null on the last page."""


RequestRole = Literal["holder", "verifier"]
RequestStateName = Literal["open", "approved", "refused", "withdrawn", "expired"]


class DidRequestsParams(Params):
    """An identity, and which requests for attributes: to it, or by it."""

    did: DidText
    role: RequestRole = "holder"
    """holder: requests the identity was sent; verifier: those it sent."""
    state: RequestStateName | None = None
    """Only those in this state. A page may then be short, and yet not the last."""
    limit: Limit = 50
    cursor: CursorText | None = None


class AttributeAnswerView(Result):
    """An attribute that the holder has given, for the verifier's eyes only."""

    name: str
    sealed: Bytes
    """A libsodium sealed box for the request's key."""
    commitment: Hash


class AttributeRequestView(Result):
    """A request for attributes."""

    request_id: Hash
    holder: str
    verifier: str
    names: list[str]
    purpose: str
    state: RequestStateName
    height: Integer
    """Of the block with the request."""
    time_ms: Integer
    expiry_height: Integer
    """The last height at which it may be answered."""
    answer_key: Bytes
    """X25519, for which the answer is sealed."""
    answers: list[AttributeAnswerView]
    """Of an approval that is in force."""


class DidRequests(ReadResult):
    """A page of requests for attributes, the newest first."""

    requests: list[AttributeRequestView]
    cursor: CursorText | None = None
    """Null on the last page."""


# contracts


class ContractCallParams(Params):
    """A view of a contract; arguments by name or position, as its interface types them."""

    address: AddressText
    method: Name
    args: Annotated[
        dict[str, Any] | list[Any], Field(max_length=VIEW_ARGUMENTS_MAX, description="By name or by position.")
    ] = []
    at: At = "final"


class ContractCallResult(ReadResult):
    """What a view answered."""

    result: Any
    """As the interface types it; null when the method gives nothing back."""
    gas_used: Integer


class ContractParameter(Result):
    """A named value."""

    name: str
    type: str
    """bool, u8 to u128, Address, Did, bytes, str, Option[T], List[T, N] or a struct's name."""


class ContractMethod(Result):
    """A method of a contract."""

    name: str
    kind: Literal["init", "call", "view", "migrate"]
    is_payable: bool
    """Whether IOV may come with the call."""
    is_reentrant: bool
    """Whether it may be entered while the contract is already running."""
    parameters: list[ContractParameter]
    result: str | None = None
    """Type of what it gives back."""


class ContractRecord(Result):
    """An event's or a struct's fields."""

    name: str
    fields: list[ContractParameter]


class ContractStorageItem(Result):
    """A storage item; the first byte of its keys is its position in the list."""

    name: str
    kind: Literal["var", "map", "indexed_map"]
    key: str | None = None
    """Type of a map's keys."""
    value: str


class ContractInterface(Result):
    """What a contract declares."""

    name: str
    compiler: str
    source_hash: Hash
    upgrade: Literal["never", "owner", "governance"]
    """Who may replace its code."""
    structs: list[ContractRecord]
    methods: list[ContractMethod]
    events: list[ContractRecord]
    storage: list[ContractStorageItem]


class ContractVersion(Result):
    """A code that the contract has had."""

    height: Integer
    """From this block on."""
    code_hash: Hash


class ContractResult(ReadResult):
    """A contract and what it declares."""

    address: AddressText
    status: Literal["introduced", "sealed"]
    introducer: AddressText
    owner: AddressText
    """Who may upgrade it, if its interface lets the owner."""
    code_hash: Hash
    since_height: Integer
    """Of its introduction, then of its sealing."""
    balance: Grains
    interface: ContractInterface
    history: list[ContractVersion]
    """Oldest first; empty until it is sealed."""


class CodeParams(Params):
    """SHA-256 of code as it was published."""

    hash: Hash


class CodeResult(ReadResult):
    """Published code."""

    hash: Hash
    code: Bytes
    interface: ContractInterface


class ContractStorageParams(Params):
    """A contract's storage key: the item's position, then the packed key of a map."""

    address: AddressText
    key: ContractKey
    at: At = "final"


class StoredValue(Result):
    """What the storage schema says about a stored value."""

    item: str
    key: Any = None
    """Null for a single value."""
    value: Any = None


class ContractStorageResult(ReadResult):
    """What a contract keeps under a key."""

    address: AddressText
    key: Bytes
    value: Bytes | None = None
    """Null when nothing is there."""
    decoded: StoredValue | None = None
    """Null when the storage schema does not tell."""


class ContractEventsParams(Params):
    """Whose events, oldest first."""

    address: AddressText
    from_height: Integer = 0
    cursor: CursorText | None = None
    limit: Limit = 50


class ContractEventView(Result):
    """An event that a contract announced."""

    height: Integer
    index: Integer | None = None
    """The transaction's in its block; null at a block's end."""
    transaction_id: Hash | None = None
    name: str
    fields: dict[str, Any] | None = None
    """By the interface in force; null when they are not what it declares."""
    packed: Bytes


class ContractEvents(Result):
    """A page of events."""

    events: list[ContractEventView]
    indexed_height: Integer
    """Blocks after this one are not looked at yet."""
    earliest_height: Integer = 0
    """The node knows of no events below this height."""
    cursor: CursorText | None = None
    """Null on the last page."""


# module


class ModuleSummary(Result):
    """A module in the list."""

    name: str
    summary: str


class Modules(Result):
    """All native modules."""

    modules: list[ModuleSummary]


class ModuleParams(Params):
    """A module's name."""

    module: Name


class FieldView(Result):
    """A field and its type."""

    name: str
    type: str
    """address, grains, integer, bytes, text, boolean, list, struct, tuple or any."""
    optional: bool = False
    items: list["FieldView"] = []
    """The item of a list, or the items of a tuple."""
    fields: list["FieldView"] = []
    """The fields of a struct."""


class CallDescription(Result):
    """A call that transactions may hold."""

    name: str
    doc: str
    arguments: list[FieldView]
    gas: str
    """What it costs beyond the transaction itself, in words; tx_estimate gives a number."""
    role: str
    """What the identity must be that the sender's account is linked to; visitor is everybody."""


class EventDescription(Result):
    """An event that calls announce."""

    name: str
    doc: str
    fields: list[FieldView]


class ViewDescription(Result):
    """A question that changes nothing."""

    name: str
    arguments: list[FieldView]


class ModuleDescription(Result):
    """Everything a wallet needs to show and build a module's calls; gas comes from tx_estimate."""

    name: str
    summary: str
    calls: list[CallDescription]
    events: list[EventDescription]
    views: list[ViewDescription]


class ViewParams(Params):
    """A module's view with its arguments by name or position."""

    module: Name
    name: Name
    args: Annotated[
        dict[str, Any] | list[Any], Field(max_length=VIEW_ARGUMENTS_MAX, description="By name or by position.")
    ] = []
    at: At = "final"


class ViewResult(ReadResult):
    """The view's answer."""

    value: Any


# sub

Topic = Literal["blocks", "transactions", "events", "pending", "committee"]


class SubscriptionFilter(Params):
    """Only messages that match every field given."""

    sender: AddressText | None = None
    """For transactions, events and pending: who sent the transaction."""
    module: Name | None = None
    """For transactions and pending: any call's module; for events: the event's module."""
    name: Name | None = None
    """For transactions and pending: any call's name; for events: the event's name."""
    did: DidText | None = None
    """For events: an identity that the event of a native module names."""


class FromCursor(Params):
    """Right after a message already received."""

    cursor: CursorText


class SubscribeParams(Params):
    """What to follow, and from where; from the next final block on when `from` is left out."""

    topic: Topic
    filter: SubscriptionFilter = SubscriptionFilter()
    from_position: Annotated[
        Integer | CursorText | AtHeight | FromCursor | None,
        Field(alias="from", description="A height, or the cursor of the last message received."),
    ] = None


class SubscribeResult(Result):
    """An open subscription; its messages are `sub_message` notifications, its end is `sub_closed`."""

    subscription: str
    cursor: CursorText
    """Resumes at the very beginning of this subscription."""


class UnsubscribeParams(Params):
    """A subscription of this connection."""

    id: Annotated[str, Field(max_length=NAME_CHARACTERS_MAX)]


class Done(Result):
    """It is done."""

    done: Literal[True] = True


class BlockMessage(BlockSummary):
    """A block became final."""


class TransactionMessage(ReadResult):
    """A transaction became final."""

    index: Integer
    transaction: TransactionView
    receipt: ReceiptView


class EventMessage(ReadResult):
    """An event became final."""

    index: Integer
    """Counts the block's events; those of its end come last."""
    transaction_id: Hash | None = None
    """Null for an event of the block's end."""
    event: EventView


class CommitteeMessage(ReadResult):
    """The committees of this block and of the next; sent when one of them differs from the block before."""

    committee: CommitteeView
    """Finalises this block."""
    next_committee: CommitteeView
    """Finalises the next block; its height is the first at which it rules."""


TOPIC_MESSAGES: Final[Mapping[Topic, type[Result]]] = {
    "blocks": BlockMessage,
    "transactions": TransactionMessage,
    "events": EventMessage,
    "pending": PendingView,
    "committee": CommitteeMessage,
}


class SubscriptionMessage(Result):
    """Parameters of a `sub_message` notification."""

    subscription: str
    topic: Topic
    cursor: CursorText
    result: Any
    """What the topic's messages are; see TOPIC_MESSAGES."""


# dev


class DevAccount(Result):
    """A funded account whose key is public: for development only."""

    address: AddressText
    key_type: str
    public_key: Bytes
    secret_key: Bytes


class DevAccounts(Result):
    """The devnet's accounts."""

    accounts: list[DevAccount]


class FundParams(Params):
    """Who gets how much."""

    address: AddressText
    amount: GrainsParam


class MineParams(Params):
    """How many blocks to make now."""

    blocks: Annotated[int, Field(ge=1, le=DEV_BLOCKS_MAX)] = 1


class SetTimeParams(Params):
    """Milliseconds since 1970."""

    time_ms: Integer


class DevNodeParams(Params):
    """A node of the devnet, from 0."""

    node: Annotated[int, Field(ge=0, lt=DEV_NODES_MAX)]


class PartitionParams(Params):
    """Groups of nodes that see only each other."""

    groups: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=0, lt=DEV_NODES_MAX)]], Field(max_length=DEV_NODES_MAX)]],
        Field(min_length=1, max_length=DEV_NODES_MAX),
    ]


class SnapshotResult(Result):
    """A state to return to."""

    snapshot: str


class RevertParams(Params):
    """A snapshot's name."""

    snapshot: Name


# mining


class MiningEpochParams(Params):
    """A day of mining: days since 1970-01-01 in UTC; without it, today."""

    n: Annotated[int, Field(ge=0, le=MINING_EPOCH_MAX)] | None = None
    at: At = "final"


class MiningClaimParams(Params):
    """A day of mining and an identity."""

    n: Annotated[int, Field(ge=0, le=MINING_EPOCH_MAX)]
    did: DidText
    proof: dict[str, Any] | None = None
    """Of the identity's leaf, as `carlive distribution proof` shows it: asks what is claimable."""
    at: At = "final"


class MiningStatementParams(Params):
    """An identity."""

    did: DidText
    at: At = "final"


class MiningOutcomeView(Result):
    """What the end of an epoch has decided. Prices are millionths of a grain for one force."""

    height: Integer
    revenue: Grains
    """Fees that counted for it."""
    topup: Grains
    """The part of the budget that follows revenue."""
    budget: Grains
    smoothed_force: Integer
    quoted_price: WholeNumber
    price: WholeNumber
    """What one force is paid: the quotation, or what the budget bears."""
    released: Grains
    returned: Grains
    """What came back to the fund: released for earlier days, and owed to nobody."""
    remaining: Grains
    """What the fund held after it."""


class MiningForecast(Result):
    """How long the fund lasts, in days."""

    at_this_rate: Integer | None
    """If each released as much as the last one; null when it released nothing."""
    until_half: Integer
    """If each released its whole budget: until half of the allocation is left."""
    until_hundredth: Integer


class MiningEpochResult(ReadResult):
    """A day of mining, and how the fund does."""

    number: Integer
    is_open: bool
    """Whether it has begun and is not closed."""
    rules_from: Integer
    """The first epoch of its rules; 0: the defaults."""
    batches: Integer
    force: Integer
    vouched_force: Integer
    """The part of it by records that vehicles vouched for."""
    outcome: MiningOutcomeView | None
    """Null until it is closed."""
    fund: Grains
    """What is left now."""
    released: Grains
    """All that has left the fund."""
    returned: Grains
    """All that has come back to it, of which nobody was owed anything."""
    revenue: Grains
    """Counted for the next epoch with force that is closed."""
    forecast: MiningForecast


class MiningBatchView(Result):
    """A batch of records that counts."""

    number: Integer
    root: Hash
    records: Integer
    force: Integer
    manifest_hash: Hash
    attesters: list[DidText]


class MiningPayoutView(Result):
    """What an identity has from the source of distributions that mining pays through, over all days."""

    source: Integer
    root: Integer
    """Number of the newest root that counts; 0: none."""
    claimed: Grains
    """So far."""
    claimable: Grains | None
    """What a claim under that root still pays; null unless a proof was given."""


class MiningClaimResult(ReadResult):
    """What the chain knows of an identity's reward of a day; other records are proven under the batch's root."""

    number: Integer
    did: DidText
    weight: Integer
    """Hundredths."""
    vouched_force: Integer
    price: WholeNumber | None
    """Millionths of a grain for one force; null until the epoch is closed."""
    vouched_reward: Grains | None
    batch: MiningBatchView | None
    """Null while none counts."""
    payout: MiningPayoutView | None
    """Null while governance has named no source."""


class MiningRecordView(Result):
    """A record that a vehicle vouched for."""

    number: Integer
    """Its epoch."""
    behaviour: str
    count: Integer
    force: Integer
    vehicle: DidText
    commitment: Hash
    price: WholeNumber | None
    reward: Grains | None


class MiningWeightView(Result):
    """The last decision on an identity's weight."""

    turn: Integer
    weight: Integer
    since: Integer
    """Epoch."""
    reason: str
    evidence_hash: Hash
    attesters: list[DidText]
    granted_from: Integer | None
    """The epoch from which on its appeal is granted; null without one."""
    is_final: bool
    """Whether an appeal was answered, and the weight not been lowered since."""


class MiningStatementResult(ReadResult):
    """What the chain knows of an identity's mining in the last 31 days, the newest first."""

    did: DidText
    weight: Integer
    """Today, in hundredths."""
    decision: MiningWeightView | None
    """Null when its weight was never lowered."""
    records: list[MiningRecordView]


# ads


class AdsCampaignParams(Params):
    """A campaign's number."""

    id: Annotated[int, Field(ge=1, le=JSON_INTEGER_MAX)]
    at: At = "final"


class AdsCampaignsParams(Params):
    """A page of campaigns, the newest first; with an advertiser only its own."""

    advertiser: DidText | None = None
    limit: Limit = 50
    cursor: CursorText | None = None
    at: At = "final"


class AdsOrderParams(Params):
    """An order's id."""

    id: Hash
    at: At = "final"


AdsStatus = Literal["draft", "review", "running", "paused", "exhausted", "ended", "settled"]
AdsOrderStatus = Literal["accepted", "completed", "lapsed"]
AdsKind = Literal["live_view", "message_read", "fan_interaction", "click"]


class AdsItem(Result):
    """What a kind of delivery may cost; both prices are 0 when a fixed total is shared."""

    kind: AdsKind
    price_min: Grains
    price_max: Grains
    units_min: Integer
    units_max: Integer


class AdsFixedReward(Result):
    """A total that is shared by so many deliveries."""

    total: Grains
    deliveries: Integer


class AdsSplit(Result):
    """Shares in 1/10,000."""

    user_bps: Integer
    publisher_bps: Integer
    platform_bps: Integer


class AdsKindTotal(Result):
    """What one kind of delivery came to."""

    kind: AdsKind
    completed: Integer
    units: Integer
    grains: Grains


class AdsMoney(Result):
    """Every grain of a campaign."""

    funded: Grains
    deposit: Grains
    reserved: Grains
    locked: Grains
    paid: Grains
    paid_by_channels: Grains
    """The part of it that did not go by orders."""
    forfeited: Grains
    refunded: Grains
    free: Grains
    """What may still be promised."""


class AdsCampaignView(Result):
    """A campaign."""

    id: Integer
    advertiser: DidText
    status: AdsStatus
    reviewer: DidText | None
    """Who let it run."""
    content_hash: Hash
    metadata_uri: str
    metadata_hash: Hash
    targeting: str
    """As text; see docs/ads.md."""
    targeting_hash: Hash
    start_ms: Integer
    end_ms: Integer
    ended_ms: Integer | None
    """Null while it has not ended."""
    settles_ms: Integer | None
    """From when on it may be settled; null while it has not ended."""
    terms_hash: Hash
    """What a reviewer names."""
    daily_max: Grains
    cap: Integer
    items: list[AdsItem]
    fixed: AdsFixedReward | None
    split: AdsSplit
    platform: AddressText
    refund: AddressText
    offerer: DidText
    matcher: DidText | None
    source: Integer | None
    """Of distributions, through which users of channels are paid; null before the first channel for many users."""
    money: AdsMoney
    accepted: Integer
    orders_open: Integer
    persons: Integer
    channels: Integer
    channels_open: Integer
    complaints_open: Integer
    totals: list[AdsKindTotal]


class AdsCampaignResult(ReadResult):
    """A campaign at a height."""

    campaign: AdsCampaignView


class AdsCampaigns(ReadResult):
    """A page of campaigns."""

    campaigns: list[AdsCampaignView]
    cursor: CursorText | None = None
    """Null on the last page."""


class AdsOrderResult(ReadResult):
    """An order of a delivery."""

    id: Hash
    campaign: Integer
    user: DidText
    """The identity that signed: a person's own, or a pseudonym."""
    publisher: DidText
    kind: AdsKind
    slot: Integer
    number: Integer
    price: Grains
    units_max: Integer
    reserved: Grains
    tags_commitment: Hash
    accepted_ms: Integer
    deadline_ms: Integer
    status: AdsOrderStatus
    units: Integer
    gross: Grains
    user_grains: Grains
    publisher_grains: Grains
    platform_grains: Grains


class AdsSettlementResult(ReadResult):
    """Where what was paid into a campaign is: paid + forfeited + refunded + left is what was paid in."""

    id: Integer
    status: AdsStatus
    funded: Grains
    paid: Grains
    forfeited: Grains
    refunded: Grains
    left: Grains
    settles_ms: Integer | None
    """From when on it may be settled; null while it has not ended, and when it is settled."""
    channels_open: Integer
    """They are settled before."""
    complaints_open: Integer
    """They are decided before."""
