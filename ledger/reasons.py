"""Why a transaction was refused or failed: one stable word and number each, for receipts, RPC and wallets."""

from enum import IntEnum, unique
from typing import Final


@unique
class Reason(IntEnum):
    """Stands in receipts by number and in answers by name; never reused. 1-99 refused, 100-999 failed when executed."""

    # Refused: nothing happened, no fee.
    DECODE = 1
    BAD_SIGNATURE = 2
    WRONG_CHAIN = 3
    SEQUENCE_TOO_LOW = 4
    SEQUENCE_TOO_HIGH = 5
    EXPIRED = 6
    VALID_UNTIL_TOO_FAR = 7
    FEE_TOO_LOW = 8
    INSUFFICIENT_FUNDS = 9
    """The fee payer cannot pay the whole fee offered."""
    DUPLICATE = 10
    SENDER_NOT_ALLOWED = 11
    """The signing keys do not rule the account, or not with enough weight."""
    MEMPOOL_FULL = 12
    ACCOUNT_LIMIT = 13
    """The account has too many transactions waiting."""
    REPLACEMENT_UNDERPRICED = 14
    GAS_LIMIT_TOO_LOW = 15
    """Below what the transaction costs before its calls run."""
    GAS_LIMIT_TOO_HIGH = 16
    """More than a whole block may use."""
    EVICTED = 17
    """Made room for a better paying transaction."""
    REPLACED = 18
    """The same sender's later transaction took its place."""
    QUOTA_EXHAUSTED = 19
    """Without a fee, and more gas than is left of the identity's free quota of the day, or of the block's."""

    # Failed: included and charged, calls undone.
    UNKNOWN_MODULE = 100
    UNKNOWN_CALL = 101
    BAD_ARGUMENTS = 102
    OUT_OF_GAS = 103
    INSUFFICIENT_BALANCE = 104
    AMOUNT_OVERFLOW = 105
    AMOUNT_ZERO = 106
    BAD_KEY = 107
    BAD_POLICY = 108
    RECIPIENT_NOT_ALLOWED = 109
    """A module's own address takes no direct transfers."""
    # 120 is not used again: it was another word for NOT_AN_OPERATOR.
    NO_SUCH_CANDIDATE = 121
    ALREADY_STANDING = 122
    NOT_STANDING = 123
    """The candidate has retired."""
    CANDIDATE_JAILED = 124
    NOT_JAILED = 125
    JAIL_NOT_OVER = 126
    STAKE_TOO_SMALL = 127
    """Less than the least amount that may be staked, moved or left behind."""
    STAKE_INSUFFICIENT = 128
    """More than the sender has staked there."""
    TOO_MANY_CANDIDATES = 129
    TOO_MANY_DELEGATIONS = 130
    TOO_MANY_UNBONDINGS = 131
    POOL_DEPLETED = 132
    """The pool was slashed so far that no share of it can be counted."""
    REDELEGATION_TOO_SOON = 133
    OWN_BOND = 134
    """An operator's own stake is not moved to other candidates."""
    SAME_CANDIDATE = 135
    KEY_CHANGE_TOO_SOON = 136
    """A member's consensus key changes once an epoch."""

    # Governance and the node registry: 150-179.
    MODULE_PAUSED = 150
    """Governance has switched the module off for a while."""
    NOT_AN_OPERATOR = 151
    """Governance has not admitted this account as an operator."""
    NOT_A_MEMBER = 152
    """The sender does not sit in the body that decides."""
    UNKNOWN_PROPOSAL = 153
    VOTING_CLOSED = 154
    PROPOSALS_LIMIT = 155
    """Too many proposals are open, of all or of this proposer."""
    BAD_TERMS = 156
    """Priority or effective height do not fit the proposal."""
    BAD_PARAMETER = 157
    """No such parameter, or a value out of its bounds or against another parameter."""
    BAD_BODY = 158
    """No such body of governance, or members that cannot form one."""
    UNKNOWN_CATEGORY = 159
    """The treasury has no such budget category."""
    NOT_PAUSABLE = 160
    """No such module, or one that is never paused; or nothing to resume."""
    OPERATOR_EXISTS = 161
    COMMITTEE_TOO_SMALL = 162
    """Too few members of the ruling committee would be left."""
    UNKNOWN_NODE = 163
    """The registry has no such node of this operator."""
    NODES_LIMIT = 164
    KEY_IN_USE = 165
    """The key or name stands in the registry already."""
    BAD_NODE = 166
    """Role and keys do not fit each other, or an address is not host:port."""
    BAD_KEY_SIGNATURE = 167
    """A key's signature that this call needs is missing or wrong."""

    # Contracts: 180-199.
    CONTRACT_NOT_FOUND = 180
    CONTRACT_NOT_SEALED = 181
    """It was introduced, but its introducer has not sealed it yet."""
    NO_SUCH_METHOD = 182
    """The contract has no such method, or none that may be called."""
    NOT_PAYABLE = 183
    """IOV came with a call of a method that takes none."""
    REENTRANCY = 184
    """The contract is running already, and the method does not allow to be entered meanwhile."""
    CALL_DEPTH = 185
    """Contracts called each other too deep."""
    STACK_OVERFLOW = 186
    """The contract's own functions called each other too deep."""
    UNREACHABLE = 187
    """The contract's code trapped: unreachable, out of bounds, division by zero or a wrong indirect call."""
    ARITHMETIC = 188
    """A wide multiplication or division divides by zero or does not fit."""
    BAD_POINTER = 189
    """The contract gave the host a place outside its memory, or a register it does not have."""
    VIEW_WRITES = 190
    """A view tried to change something."""
    EVENT_UNDECLARED = 191
    """The interface has no such event, or one with other fields."""
    HOST_LIMIT = 192
    """A key, value, message or list is longer than the host takes."""
    BAD_CONTRACT = 193
    """The code breaks a rule for contracts, or is not there."""
    UPGRADE_NOT_ALLOWED = 194
    """The contract's interface or owner does not allow it."""
    PUBLISHER_NOT_ALLOWED = 195
    """Who may publish contracts is a parameter, and the sender is none of those."""
    ALREADY_SEALED = 196
    CONTRACT_EXISTS = 197
    """The same code of the same sender with the same salt."""
    BAD_RESULT = 198
    """What the method gave back is not what its interface declares."""
    CONTRACT_CODE = 199
    """The contract itself failed the call; receipts hold CONTRACT_REASON_FIRST + its own code instead."""

    # Identities: 200-229.
    UNKNOWN_DID = 200
    """The chain knows no identity of this name."""
    DID_EXISTS = 201
    DID_DEACTIVATED = 202
    """A deactivated identity does nothing more, and nothing is done in its name."""
    DID_VERSION_STALE = 203
    """The operation was signed for another version of the identity than the present one: a replay, or too late."""
    DID_BAD_SIGNATURE = 204
    """A signature is wrong: of another key, operation or chain."""
    DID_UNKNOWN_KEY = 205
    """A signing key is none of the keys that its identity has now."""
    DID_FOREIGN_SIGNER = 206
    """A signature in the name of an identity that has no say in this."""
    DID_NOT_AUTHORISED = 207
    """The signatures do not weigh enough, or those of a party that has to agree are missing."""
    DID_BAD_KEYS = 208
    """Keys that cannot rule, sign or agree on secrets, or that this kind of identity does not have."""
    DID_BAD_CONTROLLERS = 209
    DID_BAD_GUARDIANS = 210
    DID_BAD_SERVICE = 211
    DID_BAD_OWNER = 212
    """Exactly vehicles and devices have an owner, which is another identity that is active."""
    DID_NOT_REVEALED = 213
    """The keys are not those that the identity has committed to."""
    DID_NO_COMMITMENT = 214
    """The identity has committed to no keys for this, or has no guardians."""
    DID_RECOVERY_PENDING = 215
    DID_NO_RECOVERY = 216
    """No recovery waits for this identity, or its holder has acted since."""
    DID_RECOVERY_NOT_DUE = 217
    """The holder may still object."""
    DID_LINKED = 218
    """The identity has an account already, or the account an identity."""
    DID_NOT_LINKED = 219
    DID_ACCOUNT_NOT_CONSENTING = 220
    """The account neither sends the transaction nor is ruled by one of the keys that signed."""

    # Attributes of identities: 230-249.
    ATTRIBUTE_SEQUENCE = 230
    """The operation was signed for another sequence number of the identity: a replay, or out of order."""
    ATTRIBUTE_BAD_NAME = 231
    ATTRIBUTE_BAD_TAG = 232
    """A plain tag is text; an encrypted one is at least as long as encryption makes it."""
    ATTRIBUTE_TAGS_LIMIT = 233
    ATTRIBUTE_UNKNOWN_TAG = 234
    ATTRIBUTE_BAD_REQUEST = 235
    """Names out of order, a purpose nobody can read, a key nobody can encrypt for, or a request to oneself."""
    ATTRIBUTE_BAD_EXPIRY = 236
    """A request ends after its own block, and not too late."""
    ATTRIBUTE_REQUESTS_LIMIT = 237
    """Too many requests are open: of the holder, of the verifier, or between the two."""
    ATTRIBUTE_UNKNOWN_REQUEST = 238
    ATTRIBUTE_ANSWERED = 239
    """A request is answered once: a replay, or a change of mind."""
    ATTRIBUTE_EXPIRED = 240
    """The answer comes after the request's last height."""
    ATTRIBUTE_BAD_ANSWER = 241
    """The answer does not give exactly the attributes asked for, each sealed."""
    ATTRIBUTE_NOT_APPROVED = 242
    """Only consent that was given, and is not yet withdrawn, can be withdrawn."""
    ATTRIBUTE_VERIFIER_DEACTIVATED = 243
    """Whoever asked has ended meanwhile: nobody is there to have the answer."""

    # Vehicles: 250-264.
    NOT_A_VEHICLE = 250
    NOT_RECOGNISED = 251
    """Governance does not recognise this identity for this, recognises it already, or never does so with its kind."""
    VIN_ATTESTED = 252
    """The vehicle has an attested number already, or the number belongs to another vehicle."""
    VIN_NOT_ATTESTED = 253
    """The vehicle has no attested number, or another attestation than the one meant."""
    VEHICLE_TURN_STALE = 254
    """The operation was signed for another turn of the vehicle than the present one: a replay, or too late."""
    VEHICLE_ACTIVE = 255
    """The number of an active vehicle is not released."""
    VEHICLE_WITHOUT_KEYS = 256
    """The vehicle has no keys of its own with which to agree."""
    VEHICLE_BOUND = 257
    """The vehicle is bound to its present owner already."""
    VEHICLE_NOT_BOUND = 258
    BAD_GRANT = 259
    """Scopes, grantee or height do not make a grant."""
    UNKNOWN_GRANT = 260
    GRANTS_LIMIT = 261

    # Accounts on platforms: 265-279.
    NOT_A_PERSON = 265
    ACCOUNT_BOUND = 266
    """The account belongs to a person already, or the person has another account there."""
    ACCOUNT_NOT_BOUND = 267
    PLATFORM_TURN_STALE = 268
    """It was signed for another turn of person and platform than the present one: a replay, or too late."""
    MIGRATION_EXISTS = 269
    BAD_MIGRATION = 270
    """A migration's last height is past, or too far away."""
    UNKNOWN_MIGRATION = 271
    MIGRATION_OVER = 272
    LEAF_NOT_PROVEN = 273
    """The account is not in the migration, not with this claim key, or not at this place."""
    LEAF_CLAIMED = 274
    BAD_CLAIM_SIGNATURE = 275
    """The account's claim key has not signed this."""

    # Roles: 280-289; 288 is not used again.
    ROLE_MISSING = 280
    """The call needs a role that the sender's identity does not hold now, or the sender has no identity."""
    ROLE_NOT_GRANTABLE = 281
    ROLE_BAD_HOLDER = 282
    """An identity of this kind does not hold this role, or would grant it to itself."""
    NOT_AN_ISSUER = 283
    """Governance granted the role, or no longer lets its issuer grant it: only governance takes it back."""
    ROLE_STALE = 284
    """Signed for another grant of the role than the one that is due: a replay, or too late."""
    ROLE_NOT_HELD = 285
    ROLE_HELD = 286
    """Somebody else has granted the role, and it holds."""
    ROLE_BAD_TERM = 287
    """The role would have ended already."""
    RECOGNISED_LIMIT = 289

    # Status lists of credentials: 290-294.
    STATUS_LIST_STALE = 290
    """Signed for another version of the list than the one that is due: a replay, or too late."""
    STATUS_LIST_BAD_URI = 291
    STATUS_LIST_URI_TAKEN = 292
    """The address has led to another list of this issuer, and credentials may name it."""

    # Growth tasks: 300-319.
    UNKNOWN_TASK = 300
    TASK_ENDED = 301
    BAD_TASK = 302
    """A task asks for nothing, for evidence that has no name, or leads to a role that is not earned."""
    TASKS_LIMIT = 303
    BAD_PERIOD = 304
    """Only the present period of the task counts, and the one before."""
    UNKNOWN_EVIDENCE = 305
    """The task takes no evidence of this kind."""
    REPORT_STALE = 306
    """Signed for another number than the next report's: a replay, or too late."""
    ONES_OWN = 307
    """Nobody reports for itself, or rates itself or what it owns or controls."""
    RATINGS_LIMIT = 308
    NO_RATING = 309
    RATER_ACTIVE = 310
    """Stars of somebody who is still a person are not dropped."""
    EVIDENCE_MISSING = 311
    """Too little was counted for the certification."""
    RATERS_MISSING = 312
    RATING_TOO_LOW = 313
    """The mean of the stars is below what the task asks for."""
    CERTIFIED_ALREADY = 314
    """An identity is certified once for a period of a task."""

    # Distributions: 330-349.
    DISTRIBUTION_UNKNOWN_SOURCE = 330
    DISTRIBUTION_BAD_RULES = 331
    """Attesters out of order, a threshold above their number, or limits of a breaker that contradict each other."""
    DISTRIBUTION_PROMISED = 332
    """What the owner wants back is promised to beneficiaries by a root."""
    DISTRIBUTION_NOT_OWNER = 333
    DISTRIBUTION_UNKNOWN_ROOT = 334
    DISTRIBUTION_ROOT_VOID = 335
    DISTRIBUTION_ROOT_NUMBER = 336
    """A root has another number than the next one of its source: a replay, or too late."""
    DISTRIBUTION_ROOT_PENDING = 337
    """The root, or the one before it, is still open to challenges."""
    DISTRIBUTION_BAD_ROOT = 338
    """Shards do not add up to the root or total that was signed, or the total falls."""
    DISTRIBUTION_UNFUNDED = 339
    """The root promises more than the source was paid."""
    DISTRIBUTION_NOT_PROVEN = 340
    """A leaf does not stand under the root as claimed, or not in its beneficiary's shard."""
    DISTRIBUTION_NOTHING_DUE = 341
    """All of it was claimed before."""
    DISTRIBUTION_NO_ACCOUNT = 342
    """The identity has neither a linked account nor one for payments."""
    DISTRIBUTION_EXCEEDED = 343
    """The claim and those before it would be more than the roots that count promise."""
    DISTRIBUTION_TRIPPED = 344
    """The source has paid too much in too short a time and pays nothing for a while."""
    # 345 was for claims that alone exceed the limit, which are now paid in parts
    DISTRIBUTION_CHALLENGE_OVER = 346
    """The root counts: it is challenged no more."""
    DISTRIBUTION_NO_FAULT = 347
    """The leaves stand under the root, and what they show is as it should be."""
    DISTRIBUTION_TURN_STALE = 348
    """Signed for another turn of the identity than the present one: a replay, or too late."""
    DISTRIBUTION_NOT_TRIPPED = 349

    # Lock-ups, the sale, gifts and acceptors: 350-379.
    FUNDS_LOCKED = 350
    """The account holds it, but what is locked has to stay in its balance or in stake."""
    BAD_SCHEDULE = 351
    """A schedule that unlocks less than before, or not exactly everything."""
    LOCKUPS_LIMIT = 352
    """The account has too many lock-ups."""
    UNKNOWN_LOCKUP = 353
    LOCKUP_NOT_REVOCABLE = 354
    """It was granted for good, is revoked already, or has ended; or there is nothing to collect of it now."""
    UNKNOWN_ALLOCATION = 355
    """Nothing is granted out of this account of a module, or nothing is sold out of it."""
    UNKNOWN_SALE = 356
    SALE_OPEN = 357
    """One sale is open at a time; purchases are delivered when it is closed."""
    SALE_CLOSED = 358
    """The sale is over, or has not begun."""
    BAD_SALE = 359
    """Times, tiers, cap or exclusions do not make a sale."""
    PAYMENT_USED = 360
    """A payment pays one purchase."""
    NOT_ELIGIBLE = 361
    """The identity may not buy: its kind, its role, or the jurisdiction that the cashier attests."""
    CAP_REACHED = 362
    TIER_SOLD_OUT = 363
    BAD_PAYMENT = 364
    """Another currency than the sale's, or an amount that buys nothing."""
    UNKNOWN_PURCHASE = 365
    PURCHASE_SETTLED = 366
    """It was delivered or taken back, or nothing is owed for it."""
    BUYER_WITHOUT_ACCOUNT = 367
    """The identity has no account that could be given what it bought."""
    UNKNOWN_GIFT = 368
    GIFT_EXISTS = 369
    """A gift of the same giver waits under this claim key already."""
    GIFT_EXPIRED = 370
    GIFT_NOT_EXPIRED = 371
    BAD_GIFT = 372
    """The expiry is past or too far away."""
    UNKNOWN_ACCEPTOR = 373
    ACCEPTOR_EXISTS = 374
    NOT_QUALIFIED = 375
    """Holdings or coin age are below what the rules ask for."""
    STILL_QUALIFIED = 376
    """The acceptor holds enough to stay listed."""
    UNKNOWN_DIVIDEND = 377
    BAD_DIVIDEND = 378
    """A dividend cannot be declared so."""
    DIVIDEND_NOT_OVER = 379
    """A dividend is still claimed, so nothing goes back."""
    # Mining: 380-399.
    MINING_EPOCH_CLOSED = 380
    """The epoch takes no more records, or has not begun."""
    MINING_NOT_AN_ATTESTER = 381
    """The identity is no attester, or is suspended."""
    MINING_TOO_FEW_ATTESTERS = 382
    MINING_BAD_BATCH = 383
    """Totals that cannot be, out of order, or of behaviours without a rule; or a number that is not the next."""
    MINING_BATCHES_LIMIT = 384
    MINING_UNKNOWN_BATCH = 385
    """There is no such batch, or it does not count any more."""
    MINING_NOT_CORRECTABLE = 386
    """Corrected too often, by too few, or by as many others."""
    MINING_BAD_PROOF = 387
    """A record that is not proven to stand in its batch."""
    MINING_NOT_TWICE = 388
    """The two records do not earn twice for one thing."""
    MINING_BAD_RECORD = 389
    """A record that no vehicle vouches for alone, or not of this user."""
    MINING_EARNED_ALREADY = 390
    """The identity has earned by this behaviour on that day, or the vehicle for somebody else."""
    MINING_WEIGHT_STALE = 391
    """Signed for another weight of the identity than the one in force."""
    MINING_NOTHING_TO_APPEAL = 392
    MINING_BAD_RULES = 393
    MINING_NOT_SUSPENDED = 394
    MINING_BATCH_STANDS = 475
    """Another batch of the epoch counts, which this one does not correct; or none counts that it could correct."""
    MINING_APPEAL_ANSWERED = 476
    """An answer to an appeal is final until the weight is lowered again."""

    # Advertising: 400-419.
    ADS_UNKNOWN_CAMPAIGN = 400
    ADS_NOT_YOURS = 401
    """The sender's identity is not the advertiser, or has none."""
    ADS_BAD_TERMS = 402
    """Period, prices, shares or numbers do not go together."""
    ADS_BAD_TARGETING = 403
    ADS_WRONG_STATUS = 404
    """The campaign does not stand where this is possible."""
    ADS_UNDERFUNDED = 405
    """What may still be promised does not pay for this."""
    ADS_PACE_EXCEEDED = 406
    """The campaign promises no more on this day."""
    ADS_BAD_OFFER = 407
    """The offer is over, or not within the campaign's terms."""
    ADS_BAD_NULLIFIER = 408
    """Above the cap, or not the one nullifier of this person and delivery."""
    ADS_SLOT_USED = 409
    """There is an order for this nullifier already."""
    ADS_UNKNOWN_ORDER = 410
    ADS_ORDER_OVER = 411
    """The order is completed, has lapsed, or its time is over."""
    ADS_BAD_COMPLETION = 412
    ADS_NOT_PAYABLE = 413
    """An identity has no account that could be paid."""
    ADS_UNKNOWN_CHANNEL = 414
    ADS_BAD_BALANCE = 415
    """Older or lower than the one before, more than was set aside, or too late."""
    ADS_TOO_EARLY = 416
    """A time has to pass before that."""
    ADS_UNSETTLED = 417
    """Channels or complaints are open."""
    ADS_BAD_COMPLAINT = 418
    """Nothing to complain of, a second complaint, too many, or nobody to judge it."""
    ADS_NOT_ON_PANEL = 419
    """The sender's identity has no vote on this complaint, or has voted."""

    # More of lock-ups, the sale, gifts and acceptors: 440-449.
    APPLICATION_REPLACED = 440
    """The acceptor has applied with something else than what was to be approved."""

    # Advertising, sponsors and complaints: 450-464.
    ADS_OTHER_REFUND = 450
    """What a campaign does not spend goes to another account than whoever pays in expects."""
    ADS_REFUND_FIXED = 451
    """Somebody has paid in and counts on where the rest goes."""
    ADS_STAKE_HIGHER = 452
    """So many complaints are open that one more takes a higher stake than the complainer allows."""
    ADS_UPHELD_ALREADY = 453
    """One complaint about these terms was upheld; others are closed, and their stakes go back."""


CONTRACT_REASON_FIRST: Final = 65_536
"""A receipt's reason from here on is a contract's own code, added to this."""
CONTRACT_CODE_MAX: Final = 65_535


def get_reason(number: int) -> Reason:
    """The reason that a receipt's number stands for; CONTRACT_CODE for every code of a contract's own."""
    return Reason.CONTRACT_CODE if number >= CONTRACT_REASON_FIRST else Reason(number)


class Rejected(Exception):
    """Input broke a rule. The reason is the contract; details are typed facts that help to mend it."""

    def __init__(self, reason: Reason, message: str = "", **details: int | str) -> None:
        super().__init__(message or reason.name)
        self.reason = reason
        self.message = message
        self.details = details

    @property
    def number(self) -> int:
        """As it stands in receipts."""
        return int(self.reason)


class Reverted(Rejected):
    """A contract failed a call with a code of its own, from 1 to CONTRACT_CODE_MAX."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(Reason.CONTRACT_CODE, message, code=code)
        self.code = code

    @property
    def number(self) -> int:
        """As it stands in receipts."""
        return CONTRACT_REASON_FIRST + self.code
