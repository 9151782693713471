"""The one table of state keys: every module's keys start with its own byte. All of them are under the state root."""

from enum import IntEnum, unique
from typing import Final

from identity.address import Address
from identity.did import Did
from ledger.primitives import Height, NodeKey, TransactionId


@unique
class Table(IntEnum):
    """First byte of a state key; never reused, nor is 111."""

    PARAMETERS = 1
    """-> Parameters"""
    COMMITTEE = 2
    """-> Committee that finalises the next block"""
    NEXT_COMMITTEE = 3
    """-> Committee of the block after that"""
    EPOCH = 4
    """-> Epoch going on"""
    ABSENCES = 5
    """-> Absences: members that missed their last turns; absent while there are none"""
    TERM = 6
    """first height, 8 bytes big-endian -> Term: who ruled from that height on; kept while evidence counts"""
    KEY_CHANGES = 7
    """-> KeyChanges: members whose consensus key changes with this block; absent after every block"""
    ACCOUNT = 16
    """address, 20 bytes -> Account"""
    POLICY = 17
    """address, 20 bytes -> KeyPolicy; absent: the one key whose hash the address is"""
    UNORDERED = 18
    """valid_until, 8 bytes big-endian ‖ transaction id, 32 bytes -> empty; removed once expired"""
    NODE = 32
    """node key, 32 bytes -> RegisteredNode"""
    OPERATOR = 33
    """address, 20 bytes -> Operator that was admitted"""
    CANDIDATE = 40
    """operator, 20 bytes -> Candidate"""
    DELEGATION = 41
    """delegator, 20 bytes ‖ operator, 20 bytes -> Delegation"""
    UNBONDING_POOL = 42
    """operator, 20 bytes ‖ release epoch, 8 bytes -> Pool of stake on its way out"""
    UNBONDING = 43
    """release epoch, 8 bytes ‖ operator, 20 bytes ‖ delegator, 20 bytes -> Delegation of that pool"""
    OFFENCE = 44
    """term's first height, 8 bytes ‖ offence id, 32 bytes -> height of its punishment"""
    EARNINGS = 45
    """-> Earnings: fees of this epoch that belong to their proposers"""
    HOLDINGS = 46
    """holder, 20 bytes -> Holdings: how many delegations, and which stake is on its way out"""
    PROPOSAL = 48
    """id, 8 bytes -> Proposal of governance"""
    PROPOSAL_COUNT = 49
    """-> Docket: number of proposals so far, and those that are open"""
    AGENDA = 50
    """height, 8 bytes ‖ proposal id, 8 bytes -> empty: the proposal ends or takes effect with this block"""
    BODY = 51
    """number of the body, 1 byte -> Body: its members"""
    PAUSE = 52
    """-> Pauses: modules whose calls are refused; absent while there are none"""
    CONTRACT = 64
    """address, 20 bytes -> Contract"""
    CONTRACT_STORAGE = 65
    """contract, 20 bytes ‖ the contract's own key -> the contract's own value"""
    CODE = 66
    """code hash, 32 bytes ‖ 0 -> code as it was published; ‖ 1 -> CodeFacts; ‖ 2 -> what the engine compiles"""
    CODE_PART = 67
    """uploader, 20 bytes ‖ code hash, 32 bytes ‖ index, 1 byte -> part of code that is not introduced yet"""
    CONTRACT_VERSION = 68
    """contract, 20 bytes ‖ number, 4 bytes -> Version: which code it has had since which height"""
    DEVELOPER = 69
    """address, 20 bytes -> empty: governance has certified this developer"""
    APPROVED_CODE = 70
    """code hash, 32 bytes -> empty: governance lets this code be published"""
    DID = 80
    """identity, 20 bytes -> DidRecord: its present version"""
    DID_VERSION = 81
    """identity, 20 bytes ‖ number, 4 bytes -> DidVersion that has a successor"""
    DID_VERSION_NUMBER = 82
    """identity, 20 bytes ‖ version id, 32 bytes -> number, 4 bytes, of a version that has a successor"""
    DID_RECOVERY = 83
    """identity, 20 bytes -> Recovery that guardians have asked for"""
    DID_OF_ACCOUNT = 84
    """address, 20 bytes -> identity, 20 bytes, that the account is linked to"""
    ATTRIBUTES = 90
    """identity, 20 bytes -> AttributeRecord: its sequence, its counts and its open requests"""
    ATTRIBUTE_TAG = 91
    """identity, 20 bytes ‖ name -> Tag"""
    ATTRIBUTE_REQUEST = 92
    """request id, 32 bytes -> AttributeRequest"""
    ATTRIBUTE_RECEIVED = 93
    """holder, 20 bytes ‖ number, 4 bytes -> id of a request the holder was sent"""
    ATTRIBUTE_SENT = 94
    """verifier, 20 bytes ‖ number, 4 bytes -> id of a request the verifier sent"""
    ATTRIBUTE_LOG = 95
    """holder, 20 bytes ‖ number, 4 bytes -> LogEntry"""
    RECOGNISED = 100
    """number of the recognition, 1 byte ‖ identity, 20 bytes -> empty: governance recognises the identity for this"""
    VEHICLE = 101
    """identity of a vehicle, 20 bytes -> VehicleRecord"""
    VIN_NULLIFIER = 102
    """nullifier, 32 bytes -> identity, 20 bytes, of the vehicle that has the number"""
    PLATFORM_ACCOUNT = 103
    """platform, 20 bytes ‖ account hash, 32 bytes -> identity, 20 bytes, of the person whose account it is"""
    PLATFORM_LINK = 104
    """person, 20 bytes ‖ platform, 20 bytes -> PlatformLink"""
    MIGRATION = 105
    """platform, 20 bytes ‖ root, 32 bytes -> Migration"""
    CLAIMED_LEAF = 106
    """platform, 20 bytes ‖ leaf hash, 32 bytes -> empty: the account was claimed"""
    ROLE = 110
    """identity, 20 bytes ‖ number of the role, 1 byte -> RoleRecord: its newest grant"""
    QUOTA_USAGE = 112
    """identity, 20 bytes -> QuotaUsage: gas without a fee of the last day with some"""
    FREE_GAS = 113
    """-> FreeGas: gas without a fee of the last block with some"""
    STATUS_LIST = 120
    """issuer, 20 bytes ‖ number, 2 bytes ‖ purpose, 1 byte -> StatusListVersion: the present one"""
    STATUS_LIST_VERSION = 121
    """issuer, 20 bytes ‖ number, 2 bytes ‖ purpose, 1 byte ‖ version, 4 bytes -> StatusListVersion with a successor"""
    STATUS_LIST_URI = 122
    """issuer, 20 bytes ‖ SHA-256 of an address -> StatusListName: the list it has led to"""
    GROWTH_TASKS = 132
    """-> TaskList: number of growth tasks so far, and those that are open"""
    GROWTH_TASK = 133
    """task, 2 bytes -> Task"""
    GROWTH_STANDING = 134
    """identity, 20 bytes ‖ task, 2 bytes ‖ period, 8 bytes -> Standing: evidence and ratings, added up"""
    GROWTH_EVIDENCE = 135
    """the same ‖ reporter, 20 bytes ‖ index of the requirement, 1 byte -> Evidence: the newest report"""
    GROWTH_STARS = 136
    """the same as for GROWTH_STANDING ‖ rater, 20 bytes -> stars, 1 byte"""
    GROWTH_RATING = 137
    """identity, 20 bytes -> Rating: all ratings, added up"""
    GROWTH_RATER = 138
    """identity, 20 bytes -> RaterUsage: how often it has rated on the last day on which it did"""
    DISTRIBUTION_COUNT = 140
    """-> number of sources, 8 bytes"""
    DISTRIBUTION_SOURCE = 141
    """source, 8 bytes -> Source"""
    DISTRIBUTION_ROOT = 142
    """source, 8 bytes ‖ number, 8 bytes -> PostedRoot"""
    DISTRIBUTION_CLAIMED = 143
    """source, 8 bytes ‖ kind, 1 byte ‖ account or identity, 20 bytes -> grains paid so far, 8 bytes"""
    DISTRIBUTION_FLOW = 144
    """source, 8 bytes -> Flow: what the source has paid lately; absent: nothing"""
    DISTRIBUTION_PAYOUT = 145
    """identity, 20 bytes -> Payout: where it wants to be paid"""
    LOCKUPS = 148
    """address, 20 bytes -> Lockups of the account; absent while it has none"""
    LOCKUP_DUE = 149
    """height, 8 bytes ‖ address, 20 bytes -> empty: a step of a lock-up of the account is reached with this block"""
    SALES = 150
    """-> Sales: how many there were, and which is open"""
    SALE = 151
    """number of the sale, 8 bytes -> Sale"""
    PURCHASE = 152
    """number of the sale, 8 bytes ‖ number, 8 bytes -> Purchase"""
    PAYMENT = 153
    """payment reference, 32 bytes -> PurchaseName: the purchase that it has paid"""
    SALE_BUYER = 154
    """number of the sale, 8 bytes ‖ identity, 20 bytes -> grains, 8 bytes, that the identity has bought"""
    GIFT = 155
    """giver, 20 bytes ‖ claim key, 32 bytes -> Gift that waits to be claimed"""
    ACCEPTOR = 156
    """address, 20 bytes -> Acceptor"""
    ACCEPTOR_RULES = 157
    """-> AcceptorRules; absent: the first ones"""
    DIVIDEND = 158
    """source, 8 bytes -> DeclaredDividend that is paid by it"""
    MINING_PROGRESS = 160
    """-> Progress of mining; absent before the first record"""
    MINING_RULES = 161
    """-> RulesHistory: from which epochs on rules hold; ‖ first epoch, 4 bytes -> RulesVersion"""
    MINING_EPOCH = 162
    """epoch, 4 bytes -> MiningEpoch"""
    MINING_BATCH = 163
    """epoch, 4 bytes ‖ number, 2 bytes -> Batch of records"""
    MINING_RECORD = 164
    """identity, 20 bytes ‖ epoch, 4 bytes ‖ behaviour, 1 byte -> VouchedRecord"""
    MINING_VEHICLE = 165
    """nullifier of a vehicle's number, 32 bytes -> VehicleEarner: for whom it has earned last, and on which day"""
    MINING_WEIGHT = 166
    """identity, 20 bytes -> Weight; absent: never lowered"""
    MINING_ATTESTER = 167
    """identity, 20 bytes -> Suspension; absent: never suspended"""
    MINING_REVENUE = 168
    """-> revenue in grains since the last epoch was closed, 8 bytes; absent: nothing"""
    MINING_SOURCE = 169
    """-> number, 8 bytes, of the source of distributions that mining pays through; absent: none yet"""

    ADS_CAMPAIGN = 170
    """-> Counts of campaigns and complaints; ‖ campaign, 8 bytes -> Campaign"""
    ADS_BOOK = 171
    """campaign, 8 bytes -> Book: where it stands, and every grain of it"""
    ADS_ORDER = 172
    """order, 32 bytes -> Order"""
    ADS_CHANNEL = 173
    """campaign, 8 bytes ‖ number, 4 bytes -> Channel"""
    ADS_RULES = 174
    """-> AdsRules; absent: the defaults"""
    ADS_COMPLAINT = 175
    """complaint, 8 bytes -> Complaint"""
    ADS_CREDIT = 176
    """advertiser, 20 bytes -> Credit; absent: no complaint was ever decided"""
    ADS_REVIEWERS = 177
    """-> Reviewers: who may be drawn for panels"""
    ADS_ADVERTISER = 178
    """advertiser, 20 bytes ‖ 2⁶⁴ − 1 − campaign, 8 bytes -> empty: it is this advertiser's; the newest comes first"""
    ADS_COMPLAINER = 179
    """campaign, 8 bytes ‖ identity, 20 bytes -> number, 8 bytes, of its complaint"""
    LOCKUPS_WAITING = 185
    """-> key in LOCKUP_DUE of the first step that its block had no room for; absent: none waits"""
    ADS_DRAW = 188
    """complaint, 8 bytes -> Draw: who may be on its panel; until it is drawn"""
    ADS_REACHED = 189
    """campaign, 8 bytes ‖ identity, 20 bytes -> empty: an order of that user was completed"""


CONTRACT_KEY_BYTES_MAX: Final = 128  # what a contract may use as a key of its own
CODE_PARTS_MAX: Final = 11  # of code too large for one transaction

PARAMETERS_KEY: Final = bytes([Table.PARAMETERS])
EPOCH_KEY: Final = bytes([Table.EPOCH])
ABSENCES_KEY: Final = bytes([Table.ABSENCES])
KEY_CHANGES_KEY: Final = bytes([Table.KEY_CHANGES])
EARNINGS_KEY: Final = bytes([Table.EARNINGS])
PROPOSAL_COUNT_KEY: Final = bytes([Table.PROPOSAL_COUNT])
PAUSES_KEY: Final = bytes([Table.PAUSE])
COMMITTEE_KEY: Final = bytes([Table.COMMITTEE])
NEXT_COMMITTEE_KEY: Final = bytes([Table.NEXT_COMMITTEE])
TERM_PREFIX: Final = bytes([Table.TERM])
OPERATOR_PREFIX: Final = bytes([Table.OPERATOR])
CANDIDATE_PREFIX: Final = bytes([Table.CANDIDATE])
PROPOSAL_PREFIX: Final = bytes([Table.PROPOSAL])
_DELEGATION: Final = bytes([Table.DELEGATION])
_UNBONDING_POOL: Final = bytes([Table.UNBONDING_POOL])
UNBONDING_PREFIX: Final = bytes([Table.UNBONDING])
OFFENCE_PREFIX: Final = bytes([Table.OFFENCE])
_HOLDINGS: Final = bytes([Table.HOLDINGS])
_AGENDA: Final = bytes([Table.AGENDA])
_BODY: Final = bytes([Table.BODY])
_NUMBER_BYTES: Final = 8
_ACCOUNT: Final = bytes([Table.ACCOUNT])
_POLICY: Final = bytes([Table.POLICY])
_UNORDERED: Final = bytes([Table.UNORDERED])
NODE_PREFIX: Final = bytes([Table.NODE])
_CONTRACT: Final = bytes([Table.CONTRACT])
_CONTRACT_STORAGE: Final = bytes([Table.CONTRACT_STORAGE])
_CODE: Final = bytes([Table.CODE])
_CODE_PART: Final = bytes([Table.CODE_PART])
_CONTRACT_VERSION: Final = bytes([Table.CONTRACT_VERSION])
DEVELOPER_PREFIX: Final = bytes([Table.DEVELOPER])
_APPROVED_CODE: Final = bytes([Table.APPROVED_CODE])
_DID: Final = bytes([Table.DID])
_DID_VERSION: Final = bytes([Table.DID_VERSION])
_DID_VERSION_NUMBER: Final = bytes([Table.DID_VERSION_NUMBER])
_DID_RECOVERY: Final = bytes([Table.DID_RECOVERY])
_DID_OF_ACCOUNT: Final = bytes([Table.DID_OF_ACCOUNT])
_RECOGNISED: Final = bytes([Table.RECOGNISED])
_VEHICLE: Final = bytes([Table.VEHICLE])
_VIN_NULLIFIER: Final = bytes([Table.VIN_NULLIFIER])
_PLATFORM_ACCOUNT: Final = bytes([Table.PLATFORM_ACCOUNT])
_PLATFORM_LINK: Final = bytes([Table.PLATFORM_LINK])
_MIGRATION: Final = bytes([Table.MIGRATION])
_CLAIMED_LEAF: Final = bytes([Table.CLAIMED_LEAF])
_ROLE: Final = bytes([Table.ROLE])
FREE_GAS_KEY: Final = bytes([Table.FREE_GAS])
_QUOTA_USAGE: Final = bytes([Table.QUOTA_USAGE])
DISTRIBUTION_COUNT_KEY: Final = bytes([Table.DISTRIBUTION_COUNT])
_DISTRIBUTION_SOURCE: Final = bytes([Table.DISTRIBUTION_SOURCE])
_DISTRIBUTION_ROOT: Final = bytes([Table.DISTRIBUTION_ROOT])
_DISTRIBUTION_CLAIMED: Final = bytes([Table.DISTRIBUTION_CLAIMED])
_DISTRIBUTION_FLOW: Final = bytes([Table.DISTRIBUTION_FLOW])
_DISTRIBUTION_PAYOUT: Final = bytes([Table.DISTRIBUTION_PAYOUT])
_LOCKUPS: Final = bytes([Table.LOCKUPS])
_LOCKUP_DUE: Final = bytes([Table.LOCKUP_DUE])
LOCKUPS_WAITING_KEY: Final = bytes([Table.LOCKUPS_WAITING])
SALES_KEY: Final = bytes([Table.SALES])
_SALE: Final = bytes([Table.SALE])
_PURCHASE: Final = bytes([Table.PURCHASE])
_PAYMENT: Final = bytes([Table.PAYMENT])
_SALE_BUYER: Final = bytes([Table.SALE_BUYER])
_GIFT: Final = bytes([Table.GIFT])
ACCEPTOR_PREFIX: Final = bytes([Table.ACCEPTOR])
ACCEPTOR_RULES_KEY: Final = bytes([Table.ACCEPTOR_RULES])
DIVIDEND_PREFIX: Final = bytes([Table.DIVIDEND])
_VERSION_BYTES: Final = 4
_ATTRIBUTES: Final = bytes([Table.ATTRIBUTES])
_ATTRIBUTE_TAG: Final = bytes([Table.ATTRIBUTE_TAG])
_ATTRIBUTE_REQUEST: Final = bytes([Table.ATTRIBUTE_REQUEST])
_ATTRIBUTE_RECEIVED: Final = bytes([Table.ATTRIBUTE_RECEIVED])
_ATTRIBUTE_SENT: Final = bytes([Table.ATTRIBUTE_SENT])
_ATTRIBUTE_LOG: Final = bytes([Table.ATTRIBUTE_LOG])
_ATTRIBUTE_NUMBER_BYTES: Final = 4
_STATUS_LIST: Final = bytes([Table.STATUS_LIST])
_STATUS_LIST_VERSION: Final = bytes([Table.STATUS_LIST_VERSION])
_STATUS_LIST_URI: Final = bytes([Table.STATUS_LIST_URI])
_STATUS_LIST_NUMBER_BYTES: Final = 2
GROWTH_TASKS_KEY: Final = bytes([Table.GROWTH_TASKS])
_GROWTH_TASK: Final = bytes([Table.GROWTH_TASK])
_GROWTH_STANDING: Final = bytes([Table.GROWTH_STANDING])
_GROWTH_EVIDENCE: Final = bytes([Table.GROWTH_EVIDENCE])
_GROWTH_STARS: Final = bytes([Table.GROWTH_STARS])
_GROWTH_RATING: Final = bytes([Table.GROWTH_RATING])
_GROWTH_RATER: Final = bytes([Table.GROWTH_RATER])
_TASK_BYTES: Final = 2
MINING_PROGRESS_KEY: Final = bytes([Table.MINING_PROGRESS])
MINING_RULES_KEY: Final = bytes([Table.MINING_RULES])
MINING_REVENUE_KEY: Final = bytes([Table.MINING_REVENUE])
MINING_SOURCE_KEY: Final = bytes([Table.MINING_SOURCE])
_MINING_VEHICLE: Final = bytes([Table.MINING_VEHICLE])
_MINING_EPOCH: Final = bytes([Table.MINING_EPOCH])
_MINING_BATCH: Final = bytes([Table.MINING_BATCH])
_MINING_RECORD: Final = bytes([Table.MINING_RECORD])
MINING_WEIGHT_PREFIX: Final = bytes([Table.MINING_WEIGHT])
_MINING_ATTESTER: Final = bytes([Table.MINING_ATTESTER])
_EPOCH_BYTES: Final = 4

ADS_COUNT_KEY: Final = bytes([Table.ADS_CAMPAIGN])
ADS_RULES_KEY: Final = bytes([Table.ADS_RULES])
ADS_REVIEWERS_KEY: Final = bytes([Table.ADS_REVIEWERS])
_ADS_BOOK: Final = bytes([Table.ADS_BOOK])
_ADS_ORDER: Final = bytes([Table.ADS_ORDER])
_ADS_CHANNEL: Final = bytes([Table.ADS_CHANNEL])
_ADS_COMPLAINT: Final = bytes([Table.ADS_COMPLAINT])
_ADS_CREDIT: Final = bytes([Table.ADS_CREDIT])
_ADS_ADVERTISER: Final = bytes([Table.ADS_ADVERTISER])
_ADS_COMPLAINER: Final = bytes([Table.ADS_COMPLAINER])
ADS_DRAW_PREFIX: Final = bytes([Table.ADS_DRAW])
_ADS_REACHED: Final = bytes([Table.ADS_REACHED])
_ADS_NUMBER_BYTES: Final = 8
_ADS_NUMBER_MAX: Final = 2**64 - 1


def account_key(address: Address) -> bytes:
    """Sequence and balance of an account."""
    return _ACCOUNT + address


def policy_key(address: Address) -> bytes:
    """Key policy of an account that has set one."""
    return _POLICY + address


def unordered_prefix(valid_until: Height) -> bytes:
    """All unordered transactions that expire with this height."""
    return _UNORDERED + valid_until.to_bytes(8, "big")


def unordered_key(valid_until: Height, transaction_id: TransactionId) -> bytes:
    """That this unordered transaction was included."""
    return unordered_prefix(valid_until) + transaction_id


def node_key(key: NodeKey) -> bytes:
    """A node of the registry."""
    return NODE_PREFIX + key


def term_key(first_height: int) -> bytes:
    """Who ruled from this height on."""
    return TERM_PREFIX + first_height.to_bytes(_NUMBER_BYTES, "big")


def operator_key(operator: Address) -> bytes:
    """An operator that was admitted."""
    return OPERATOR_PREFIX + operator


def candidate_key(operator: Address) -> bytes:
    """An operator that stands for election."""
    return CANDIDATE_PREFIX + operator


def delegation_prefix(delegator: Address) -> bytes:
    """All stake of one holder."""
    return _DELEGATION + delegator


def delegation_key(delegator: Address, operator: Address) -> bytes:
    """A holder's stake with a candidate."""
    return delegation_prefix(delegator) + operator


def unbonding_pool_prefix(operator: Address) -> bytes:
    """All stake on its way out of a candidate."""
    return _UNBONDING_POOL + operator


def unbonding_pool_key(operator: Address, release_epoch: int) -> bytes:
    """Stake that leaves a candidate when this epoch begins."""
    return unbonding_pool_prefix(operator) + release_epoch.to_bytes(_NUMBER_BYTES, "big")


def unbonding_prefix(release_epoch: int) -> bytes:
    """All stake that is released when this epoch begins."""
    return UNBONDING_PREFIX + release_epoch.to_bytes(_NUMBER_BYTES, "big")


def unbonding_key(release_epoch: int, operator: Address, delegator: Address) -> bytes:
    """A holder's part of such stake; in the order in which they are released."""
    return unbonding_prefix(release_epoch) + operator + delegator


def holdings_key(holder: Address) -> bytes:
    """What a holder has in stake, counted."""
    return _HOLDINGS + holder


def offence_prefix(term_height: int) -> bytes:
    """All punished offences of one term."""
    return OFFENCE_PREFIX + term_height.to_bytes(_NUMBER_BYTES, "big")


def offence_key(term_height: int, offence_id: bytes) -> bytes:
    """That an offence was punished."""
    return offence_prefix(term_height) + offence_id


def proposal_key(proposal_id: int) -> bytes:
    """A proposal of governance."""
    return PROPOSAL_PREFIX + proposal_id.to_bytes(_NUMBER_BYTES, "big")


def agenda_prefix(height: int) -> bytes:
    """All proposals for which something is due at a height."""
    return _AGENDA + height.to_bytes(_NUMBER_BYTES, "big")


def agenda_key(height: int, proposal_id: int) -> bytes:
    """That something is due for a proposal at a height."""
    return agenda_prefix(height) + proposal_id.to_bytes(_NUMBER_BYTES, "big")


def body_key(body: int) -> bytes:
    """The members of a body of governance."""
    return _BODY + bytes([body])


def contract_key(contract: Address) -> bytes:
    """A contract."""
    return _CONTRACT + contract


def contract_storage_key(contract: Address, key: bytes) -> bytes:
    """What a contract has stored under a key of its own."""
    return _CONTRACT_STORAGE + contract + key


def code_key(code_hash: bytes) -> bytes:
    """Code as it was published."""
    return _CODE + code_hash + b"\0"


def code_facts_key(code_hash: bytes) -> bytes:
    """What is to be known of code before it runs."""
    return _CODE + code_hash + b"\1"


def instrumented_code_key(code_hash: bytes) -> bytes:
    """The same code with gas and stack counters."""
    return _CODE + code_hash + b"\2"


def code_part_key(uploader: Address, code_hash: bytes, index: int) -> bytes:
    """A part of code that waits for its introduction."""
    return _CODE_PART + uploader + code_hash + bytes([index])


def contract_version_prefix(contract: Address) -> bytes:
    """All code that a contract has had."""
    return _CONTRACT_VERSION + contract


def contract_version_key(contract: Address, number: int) -> bytes:
    """Which code a contract had, counted from 0."""
    return contract_version_prefix(contract) + number.to_bytes(4, "big")


def developer_key(developer: Address) -> bytes:
    """That governance has certified a developer."""
    return DEVELOPER_PREFIX + developer


def approved_code_key(code_hash: bytes) -> bytes:
    """That governance lets this code be published."""
    return _APPROVED_CODE + code_hash


def did_key(did: Did) -> bytes:
    """An identity as it is now."""
    return _DID + did


def did_version_key(did: Did, number: int) -> bytes:
    """A former version of an identity, counted from 1."""
    return _DID_VERSION + did + number.to_bytes(_VERSION_BYTES, "big")


def did_version_number_key(did: Did, version_id: bytes) -> bytes:
    """Which number a former version has."""
    return _DID_VERSION_NUMBER + did + version_id


def did_recovery_key(did: Did) -> bytes:
    """A recovery that guardians have asked for."""
    return _DID_RECOVERY + did


def did_of_account_key(address: Address) -> bytes:
    """The identity an account is linked to."""
    return _DID_OF_ACCOUNT + address


def attributes_key(did: Did) -> bytes:
    """What an identity has in tags and requests, counted."""
    return _ATTRIBUTES + did


def attribute_tag_prefix(did: Did) -> bytes:
    """All tags of an identity."""
    return _ATTRIBUTE_TAG + did


def attribute_tag_key(did: Did, name: str) -> bytes:
    """A tag of an identity."""
    return attribute_tag_prefix(did) + name.encode()


def attribute_request_key(request_id: bytes) -> bytes:
    """A request for attributes."""
    return _ATTRIBUTE_REQUEST + request_id


def attribute_received_key(holder: Did, number: int) -> bytes:
    """A request that a holder was sent, counted from 1."""
    return _ATTRIBUTE_RECEIVED + holder + number.to_bytes(_ATTRIBUTE_NUMBER_BYTES, "big")


def attribute_sent_key(verifier: Did, number: int) -> bytes:
    """A request that a verifier sent, counted from 1."""
    return _ATTRIBUTE_SENT + verifier + number.to_bytes(_ATTRIBUTE_NUMBER_BYTES, "big")


def attribute_log_key(holder: Did, number: int) -> bytes:
    """What happened to a holder's attributes, counted from 1."""
    return _ATTRIBUTE_LOG + holder + number.to_bytes(_ATTRIBUTE_NUMBER_BYTES, "big")


def recognised_prefix(recognition: int) -> bytes:
    """All identities that governance recognises for this."""
    return _RECOGNISED + bytes([recognition])


def recognised_key(recognition: int, did: Did) -> bytes:
    """That governance recognises an identity for this."""
    return recognised_prefix(recognition) + did


def vehicle_key(vehicle: Did) -> bytes:
    """What the chain knows of a vehicle besides its identity."""
    return _VEHICLE + vehicle


def vin_nullifier_key(nullifier: bytes) -> bytes:
    """Which vehicle has a number."""
    return _VIN_NULLIFIER + nullifier


def platform_account_key(platform: Did, account_hash: bytes) -> bytes:
    """Whose an account on a platform is."""
    return _PLATFORM_ACCOUNT + platform + account_hash


def platform_link_prefix(person: Did) -> bytes:
    """All platforms of a person."""
    return _PLATFORM_LINK + person


def platform_link_key(person: Did, platform: Did) -> bytes:
    """Which account a person has on a platform."""
    return platform_link_prefix(person) + platform


def migration_key(platform: Did, root: bytes) -> bytes:
    """A platform's list of accounts to be claimed."""
    return _MIGRATION + platform + root


def claimed_leaf_key(platform: Did, leaf_hash: bytes) -> bytes:
    """That an account of such a list was claimed."""
    return _CLAIMED_LEAF + platform + leaf_hash


def role_key(did: Did, role: int) -> bytes:
    """The newest grant of a role to an identity."""
    return _ROLE + did + bytes([role])


def quota_usage_key(did: Did) -> bytes:
    """What an identity has used of its free quota."""
    return _QUOTA_USAGE + did


def status_lists_prefix(issuer: Did) -> bytes:
    """All status lists of an issuer, in order of their numbers."""
    return _STATUS_LIST + issuer


def status_list_prefix(issuer: Did, number: int) -> bytes:
    """The status lists of an issuer that share a number, one for each purpose."""
    return status_lists_prefix(issuer) + number.to_bytes(_STATUS_LIST_NUMBER_BYTES, "big")


def status_list_key(issuer: Did, number: int, purpose: int) -> bytes:
    """A status list as it is now."""
    return status_list_prefix(issuer, number) + bytes([purpose])


def status_list_version_key(issuer: Did, number: int, purpose: int, version: int) -> bytes:
    """A former version of a status list, counted from 1."""
    name = issuer + number.to_bytes(_STATUS_LIST_NUMBER_BYTES, "big") + bytes([purpose])
    return _STATUS_LIST_VERSION + name + version.to_bytes(_VERSION_BYTES, "big")


def status_list_uri_key(issuer: Did, uri_hash: bytes) -> bytes:
    """Which status list an address leads to, or has led to."""
    return _STATUS_LIST_URI + issuer + uri_hash


def growth_task_key(task: int) -> bytes:
    """A growth task, counted from 1."""
    return _GROWTH_TASK + task.to_bytes(_TASK_BYTES, "big")


def growth_standing_key(did: Did, task: int, period: int) -> bytes:
    """What counts for an identity in one period of a task."""
    return _GROWTH_STANDING + _build_growth_place(did, task, period)


def growth_evidence_key(did: Did, task: int, period: int, reporter: Did, index: int) -> bytes:
    """What a reporter has counted for one requirement of the task."""
    return _GROWTH_EVIDENCE + _build_growth_place(did, task, period) + reporter + bytes([index])


def growth_stars_key(did: Did, task: int, period: int, rater: Did) -> bytes:
    """The stars that somebody has given."""
    return _GROWTH_STARS + _build_growth_place(did, task, period) + rater


def growth_rating_key(did: Did) -> bytes:
    """All ratings of an identity."""
    return _GROWTH_RATING + did


def growth_rater_key(rater: Did) -> bytes:
    """How often an identity has rated."""
    return _GROWTH_RATER + rater


def _build_growth_place(did: Did, task: int, period: int) -> bytes:
    return did + task.to_bytes(_TASK_BYTES, "big") + period.to_bytes(_NUMBER_BYTES, "big")


def distribution_source_key(source: int) -> bytes:
    """A source of distributions."""
    return _DISTRIBUTION_SOURCE + source.to_bytes(_NUMBER_BYTES, "big")


def distribution_root_key(source: int, number: int) -> bytes:
    """A root that a source has posted."""
    return _DISTRIBUTION_ROOT + source.to_bytes(_NUMBER_BYTES, "big") + number.to_bytes(_NUMBER_BYTES, "big")


def distribution_claimed_key(source: int, beneficiary: bytes) -> bytes:
    """What a source has paid a beneficiary."""
    return _DISTRIBUTION_CLAIMED + source.to_bytes(_NUMBER_BYTES, "big") + beneficiary


def distribution_flow_key(source: int) -> bytes:
    """What a source has paid lately."""
    return _DISTRIBUTION_FLOW + source.to_bytes(_NUMBER_BYTES, "big")


def distribution_payout_key(did: Did) -> bytes:
    """Where an identity wants to be paid."""
    return _DISTRIBUTION_PAYOUT + did


def lockups_key(account: Address) -> bytes:
    """All lock-ups of an account."""
    return _LOCKUPS + account


def lockup_due_prefix(height: int) -> bytes:
    """All accounts of which a lock-up reaches a step with this block."""
    return _LOCKUP_DUE + height.to_bytes(_NUMBER_BYTES, "big")


def lockup_due_key(height: int, account: Address) -> bytes:
    """That a lock-up of an account reaches a step with this block."""
    return lockup_due_prefix(height) + account


def sale_key(number: int) -> bytes:
    """A sale."""
    return _SALE + number.to_bytes(_NUMBER_BYTES, "big")


def purchase_prefix(sale: int) -> bytes:
    """All purchases of a sale."""
    return _PURCHASE + sale.to_bytes(_NUMBER_BYTES, "big")


def purchase_key(sale: int, number: int) -> bytes:
    """A purchase, counted from 1 in each sale."""
    return purchase_prefix(sale) + number.to_bytes(_NUMBER_BYTES, "big")


def payment_key(reference: bytes) -> bytes:
    """Which purchase a payment has paid."""
    return _PAYMENT + reference


def sale_buyer_key(sale: int, did: Did) -> bytes:
    """What an identity has bought in a sale."""
    return _SALE_BUYER + sale.to_bytes(_NUMBER_BYTES, "big") + did


def gift_key(giver: Address, claim_key: bytes) -> bytes:
    """A gift of an account that waits for whoever has its claim key."""
    return _GIFT + giver + claim_key


def acceptor_key(account: Address) -> bytes:
    """An account that is an acceptor, or wants to be one."""
    return ACCEPTOR_PREFIX + account


def dividend_key(source: int) -> bytes:
    """A dividend, by the source that pays it."""
    return DIVIDEND_PREFIX + source.to_bytes(_NUMBER_BYTES, "big")


def mining_rules_key(first_epoch: int) -> bytes:
    """Rules that hold from an epoch on."""
    return MINING_RULES_KEY + first_epoch.to_bytes(_EPOCH_BYTES, "big")


def mining_epoch_key(epoch: int) -> bytes:
    """What a day of mining came to."""
    return _MINING_EPOCH + epoch.to_bytes(_EPOCH_BYTES, "big")


def mining_batch_key(epoch: int, number: int) -> bytes:
    """A batch of a day's records, counted from 1."""
    return _MINING_BATCH + epoch.to_bytes(_EPOCH_BYTES, "big") + number.to_bytes(2, "big")


def mining_record_prefix(did: Did) -> bytes:
    """All records that vehicles have vouched for, of one identity."""
    return _MINING_RECORD + did


def mining_record_epoch_prefix(did: Did, epoch: int) -> bytes:
    """Those of one day."""
    return mining_record_prefix(did) + epoch.to_bytes(_EPOCH_BYTES, "big")


def mining_record_key(did: Did, epoch: int, behaviour: int) -> bytes:
    """The one of a behaviour on a day."""
    return mining_record_epoch_prefix(did, epoch) + bytes([behaviour])


def mining_vehicle_key(nullifier: bytes) -> bytes:
    """For whom a vehicle has earned last."""
    return _MINING_VEHICLE + nullifier


def mining_weight_key(did: Did) -> bytes:
    """How much the force of an identity counts."""
    return MINING_WEIGHT_PREFIX + did


def mining_attester_key(did: Did) -> bytes:
    """Whether an attester is suspended."""
    return _MINING_ATTESTER + did


def ads_campaign_key(campaign: int) -> bytes:
    """Whose a campaign is, and on which terms."""
    return ADS_COUNT_KEY + campaign.to_bytes(_ADS_NUMBER_BYTES, "big")


def ads_book_key(campaign: int) -> bytes:
    """Where a campaign stands."""
    return _ADS_BOOK + campaign.to_bytes(_ADS_NUMBER_BYTES, "big")


def ads_order_key(order: bytes) -> bytes:
    """An order of a delivery."""
    return _ADS_ORDER + order


def ads_channel_key(campaign: int, number: int) -> bytes:
    """A channel of a campaign, counted from 1."""
    return _ADS_CHANNEL + campaign.to_bytes(_ADS_NUMBER_BYTES, "big") + number.to_bytes(4, "big")


def ads_complaint_key(complaint: int) -> bytes:
    """A complaint about a campaign's content."""
    return _ADS_COMPLAINT + complaint.to_bytes(_ADS_NUMBER_BYTES, "big")


def ads_credit_key(advertiser: Did) -> bytes:
    """What complaints have brought an advertiser."""
    return _ADS_CREDIT + advertiser


def ads_advertiser_prefix(advertiser: Did) -> bytes:
    """All campaigns of an advertiser."""
    return _ADS_ADVERTISER + advertiser


def ads_advertiser_key(advertiser: Did, campaign: int) -> bytes:
    """That a campaign is this advertiser's; the newer, the lower."""
    return ads_advertiser_prefix(advertiser) + (_ADS_NUMBER_MAX - campaign).to_bytes(_ADS_NUMBER_BYTES, "big")


def read_ads_advertiser_key(key: bytes) -> int:
    """The campaign that a key of an advertiser's is about."""
    return _ADS_NUMBER_MAX - int.from_bytes(key[-_ADS_NUMBER_BYTES:], "big")


def ads_complainer_key(campaign: int, did: Did) -> bytes:
    """Which complaint about a campaign is an identity's."""
    return _ADS_COMPLAINER + campaign.to_bytes(_ADS_NUMBER_BYTES, "big") + did


def ads_draw_key(complaint: int) -> bytes:
    """Who may be on the panel of a complaint, which is not drawn yet."""
    return ADS_DRAW_PREFIX + complaint.to_bytes(_ADS_NUMBER_BYTES, "big")


def ads_reached_key(campaign: int, did: Did) -> bytes:
    """Whether an identity is one of those that a campaign has reached."""
    return _ADS_REACHED + campaign.to_bytes(_ADS_NUMBER_BYTES, "big") + did
