"""A generated history, executed: prints one line of hashes a block. Run by tests/test_determinism.py in processes that
differ in whatever must not matter: hash seed, time zone, locale, working directory.
"""

import random
import sys
from dataclasses import replace
from hashlib import sha256

from identity.address import Address, compute_policy_address
from identity.keys import KeyType, PrivateKey
from identity.policy import build_policy, policy_to_bytes
from ledger.chain import Chain
from ledger.codec import decode, encode, to_plain
from ledger.receipt import BlockEvents, Event
from ledger.state import State
from ledger.transaction import Call, Transaction
from tests.builders import DOMAIN, PARAMETERS, Draft, address_of, make_key, transfer
from tests.chains import BLOCK_TIME_MS, SmallChain
from tests.simulation.ads import AdsTraffic
from tests.simulation.economy import EconomyTraffic
from tests.simulation.economy_founders import ALLOCATION, ALLOCATION_GRAINS, GOVERNORS, found_economy
from tests.simulation.holders import HolderTraffic
from tests.simulation.identities import PERSONS_ACCOUNTS, IdentityTraffic, Wish, found_identities
from tests.simulation.promoters import PROMOTERS, found_promoters
from tests.vm.contracts.puppet import (
    DIVE,
    TRAP,
    build_puppet,
    call,
    call_native,
    emit,
    find_address,
    hash_code,
    pack_script,
    pay,
    put,
    revert,
    view_native,
)
from vm.native.accounts import DAY_MS, get_account
from vm.native.governance import BodyKind, put_body
from vm.native.iov import MODULE_ACCOUNTS

ACCOUNTS = 12
START_GRAINS = 40_000_000
IDENTITIES_SHARE = 0.25
"""Of the transactions: what identities do, and some of it is free."""
ECONOMY_SHARE = 0.3
"""Of the transactions: roots, claims, mining, purchases, gifts."""
PROMOTERS_SHARE = 0.2
"""Of the transactions: campaigns and all that belongs to them."""
HOLDERS_SHARE = 0.05
"""Of the transactions: acceptors, dividends, and votes on whatever is open."""
BLOCK_TRANSACTIONS = 12
"""Fewer than this in each."""
WISH_GAS, PROMOTERS_GAS = 40_000, 120_000
START_MS = 19_676 * DAY_MS - 100 * BLOCK_TIME_MS
"""A day of mining ends a hundred blocks later."""
PUBLICATION_HEIGHTS = (2, 9, 30)
HASHED_MEMO = "Ölwechsel 换油 İıſ"  # upper and lower case differ by locale


class History:
    """Draws transactions of every kind, most of them good."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        types = list(KeyType)
        self.keys = [make_key(f"account {index}", types[index % 8 % 3]) for index in range(ACCOUNTS)]
        self.addresses = [address_of(key) for key in self.keys]
        self.promoter_keys = [make_key(f"promoter {index}") for index in range(len(PROMOTERS))]
        promoters = [address_of(key) for key in self.promoter_keys]
        everybody = [*self.addresses, *promoters]
        policy_keys = [make_key(f"policy {index}") for index in range(3)]
        self.policy = build_policy([(key.public_key, index + 1) for index, key in enumerate(policy_keys)], 3)
        self.policy_key = policy_keys[2]
        self.policy_address = compute_policy_address(policy_to_bytes(self.policy))
        self.publisher_key = make_key("publisher")
        self.publisher = address_of(self.publisher_key)
        code = build_puppet()
        self.contracts = [
            find_address(self.publisher, code, bytes([index])) for index in range(len(PUBLICATION_HEIGHTS))
        ]
        self.chain = SmallChain(
            {
                **dict.fromkeys([*self.addresses[:-2], *promoters, self.policy_address, self.publisher], START_GRAINS),
                ALLOCATION: ALLOCATION_GRAINS,
            },
            genesis_time_ms=START_MS,
            parameters=replace(PARAMETERS, free_quota_gas_daily=200_000, free_quota_block_gas_max=WISH_GAS),
        )
        self.identities = IdentityTraffic(self.random, DOMAIN, self.addresses)
        self.economy = EconomyTraffic(self.random, DOMAIN, self.addresses)
        self.promoters = AdsTraffic(self.random, DOMAIN, everybody)
        self.holders = HolderTraffic(self.random, everybody)
        self._found(everybody)

    def _found(self, everybody: list[Address]) -> None:
        """A first block that writes identities, the economy and who governs it into the state."""
        state = self.chain.chain.open_state()
        found_identities(state, everybody)
        found_economy(state, everybody, START_MS)
        found_promoters(state, everybody, START_MS)
        for body in (BodyKind.FOUNDATION, BodyKind.TECHNICAL, BodyKind.FINANCIAL):
            put_body(state, body, [self.addresses[number] for number in GOVERNORS])
        self.chain.chain.commit(self.chain.build_block(), [], (), state.changes)

    def draw_block(self) -> list[Transaction]:
        """Transactions for the next block; each account's sequences go on from the state, with some mistakes."""
        state = self.chain.chain.open_state()
        height = self.chain.chain.head.header.height + 1
        sequences: dict[int, int] = {}
        transactions: dict[bytes, Transaction] = {}
        for _ in range(self.random.randrange(BLOCK_TRANSACTIONS)):
            wish = self._draw_wish(state, height)
            index = self.random.randrange(ACCOUNTS)
            if wish is not None:
                index = self.random.choice((index, *PERSONS_ACCOUNTS)) if wish.account is None else wish.account
            key = self._get_key(index)
            sequence = sequences.get(index, get_account(state, address_of(key)).sequence)
            sequences[index] = sequence + 1
            draft = self._draw(index, sequence, height)
            if wish is not None:
                is_costly = index >= ACCOUNTS or wish.call.module in ("ads", "governance")
                draft.calls, draft.gas_limit = [wish.call], PROMOTERS_GAS if is_costly else WISH_GAS
            transaction = draft.sign()
            transactions[transaction.id] = transaction
        if height in PUBLICATION_HEIGHTS:
            publication = self._publish(height)
            transactions[publication.id] = publication
        return list(transactions.values())

    def _draw_wish(self, state: State, height: int) -> Wish | None:
        kind = self.random.random()
        if kind < IDENTITIES_SHARE:
            return self.identities.draw(state, height)
        kind -= IDENTITIES_SHARE
        now_ms = self.chain.chain.head.header.time_ms + BLOCK_TIME_MS
        if kind < ECONOMY_SHARE:
            return self.economy.draw(state, height, now_ms)
        kind -= ECONOMY_SHARE
        if kind < PROMOTERS_SHARE:
            return self.promoters.draw(state, now_ms)
        if kind < PROMOTERS_SHARE + HOLDERS_SHARE:
            return self.holders.draw_vote(state, height) or self.holders.draw(state, height, now_ms)
        return None

    def _get_key(self, index: int) -> PrivateKey:
        """Of an account by its number; those of people who advertise are behind the others."""
        return self.keys[index] if index < ACCOUNTS else self.promoter_keys[index - ACCOUNTS]

    def _draw(self, index: int, sequence: int, height: int) -> Draft:
        draw = self.random
        draft = Draft(
            self._get_key(index),
            [self._draw_call() for _ in range(draw.choice((1, 1, 1, 2, 3)))],
            sequence=sequence if draw.random() < 0.9 else draw.randrange(6),
            valid_until=height + draw.randrange(20),
            gas_limit=draw.choice((9_000, 12_000, 20_000)),
            price_grains=draw.choice((0, 1, 1, 2, 3)),
            memo=draw.choice(("", HASHED_MEMO)),
        )
        if draw.random() < 0.2:
            draft.sequence = draw.randbytes(8)
        if draw.random() < 0.15:
            draft.fee_payer_key = self.keys[(index + 1) % ACCOUNTS]
        if draw.random() < 0.1:
            draft.key, draft.sender = self.policy_key, self.policy_address
        return draft

    def _publish(self, height: int) -> Transaction:
        """Another contract comes to the chain."""
        number = PUBLICATION_HEIGHTS.index(height)
        salt = bytes([number])
        code = build_puppet()
        calls = [
            Call("contracts", "introduce", [salt, hash_code(code), code, pack_script(put(1, 1)), 1_000]),
            Call("contracts", "seal", [find_address(self.publisher, code, salt)]),
        ]
        return Draft(self.publisher_key, calls, sequence=number, valid_until=height, gas_limit=500_000).sign()

    def _draw_script(self, depth: int = 0) -> list[bytes]:
        """What a contract does: writes, events, payments, calls of others and of native modules, failures."""
        draw = self.random
        steps = []
        for _ in range(draw.randrange(4)):
            kind = draw.randrange(6 if depth < 3 else 5)
            if kind == 0:
                steps.append(put(draw.randrange(4), draw.randrange(256)))
            elif kind == 1:
                steps.append(emit(draw.randrange(256)))
            elif kind == 2:
                steps.append(pay(draw.choice(self.addresses), draw.randrange(600)))
            elif kind == 3:
                arguments = draw.choice(self.addresses) + draw.randrange(600).to_bytes(8, "little")
                steps.append(call_native("iov", "transfer", arguments))
            elif kind == 4:
                steps.append(draw.choice((revert(9), TRAP, DIVE, view_native("iov", "balance", self.addresses[0]))))
            else:
                contract = draw.choice(self.contracts)
                method, value = draw.choice(("run", "rerun", "look")), draw.choice((0, 0, 40))
                steps.append(call(contract, *self._draw_script(depth + 1), value=value, method=method))
        return steps

    def _draw_call(self) -> Call:
        draw = self.random
        if draw.random() < 0.3:
            contract, value = draw.choice(self.contracts), draw.choice((0, 0, 300))
            return Call("contracts", "call", [contract, "run", pack_script(*self._draw_script()), value])
        recipient = draw.choice([*self.addresses, self.policy_address])
        kind = draw.random()
        if kind < 0.6:
            return transfer(recipient, draw.choice((0, 1, 500, 70_000, START_GRAINS * 2)))
        if kind < 0.8:
            payments = [[draw.choice(self.addresses), draw.randrange(1, 900)] for _ in range(draw.randrange(1, 9))]
            return Call("iov", "batch_transfer", [payments])
        if kind < 0.9:
            return Call("accounts", "register_policy", [to_plain(self.policy)])
        return draw.choice(
            [
                Call("iov", "mint", [recipient, 1]),
                Call(draw.choice(MODULE_ACCOUNTS), "anything", []),
                Call("iov", "transfer", [recipient, "much"]),
                Call("iov", "transfer", [recipient, -1]),
            ]
        )


def run(seed: int, blocks: int) -> list[str]:
    """One line a block: its hash, the roots after it, the receipts' bytes, how its transactions ended, and events."""
    history = History(seed)
    lines = []
    for _ in range(blocks):
        transactions = history.draw_block()
        receipts = history.chain.add_block(transactions)
        head = history.chain.chain.head
        receipts_hash = sha256(b"".join(encode(receipt) for receipt in receipts)).hexdigest()
        outcomes = ",".join(
            f"{receipt.status.name}:{receipt.reason}:{'paid' if receipt.fee_grains else 'free'}" for receipt in receipts
        )
        happened = [event for receipt in receipts for event in receipt.events]
        happened += _list_block_events(history.chain.chain, head.header.height)
        events = ",".join(f"{event.module}.{event.name}" for event in happened)
        roots = f"{head.state_root.hex()} {head.receipts_root.hex()}"
        lines.append(f"{head.header.height} {head.header.hash.hex()} {roots} {receipts_hash} {outcomes} {events}")
    return lines


def _list_block_events(chain: Chain, height: int) -> tuple[Event, ...]:
    """What the block's end has told."""
    stored = chain.get_encoded_receipts(height)
    encoded = None if stored is None else stored[1]
    return () if encoded is None else decode(BlockEvents, encoded).events


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1]), int(sys.argv[2]))))
