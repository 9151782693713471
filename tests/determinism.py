"""A generated history, executed: prints one line of hashes a block. Run by tests/test_determinism.py in processes that
differ in whatever must not matter: hash seed, time zone, locale, working directory.
"""

import random
import sys
from hashlib import sha256

from identity.address import compute_policy_address
from identity.keys import KeyType
from identity.policy import build_policy, policy_to_bytes
from ledger.codec import encode, to_plain
from ledger.transaction import Call, Transaction
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import SmallChain
from vm.native.accounts import get_account
from vm.native.iov import MODULE_ACCOUNTS

ACCOUNTS = 12
START_GRAINS = 40_000_000
HASHED_MEMO = "Ölwechsel 换油 İıſ"  # upper and lower case differ by locale


class History:
    """Draws transactions of every kind, most of them good."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        types = list(KeyType)
        self.keys = [make_key(f"account {index}", types[index % 8 % 3]) for index in range(ACCOUNTS)]
        self.addresses = [address_of(key) for key in self.keys]
        policy_keys = [make_key(f"policy {index}") for index in range(3)]
        self.policy = build_policy([(key.public_key, index + 1) for index, key in enumerate(policy_keys)], 3)
        self.policy_key = policy_keys[2]
        self.policy_address = compute_policy_address(policy_to_bytes(self.policy))
        self.chain = SmallChain(dict.fromkeys([*self.addresses[:-2], self.policy_address], START_GRAINS))

    def draw_block(self) -> list[Transaction]:
        """Transactions for the next block; each account's sequences go on from the state, with some mistakes."""
        state = self.chain.chain.open_state()
        height = self.chain.chain.head.header.height + 1
        sequences: dict[int, int] = {}
        transactions: dict[bytes, Transaction] = {}
        for _ in range(self.random.randrange(8)):
            index = self.random.randrange(ACCOUNTS)
            sequence = sequences.get(index, get_account(state, self.addresses[index]).sequence)
            sequences[index] = sequence + 1
            transaction = self._draw(index, sequence, height).sign()
            transactions[transaction.id] = transaction
        return list(transactions.values())

    def _draw(self, index: int, sequence: int, height: int) -> Draft:
        draw = self.random
        draft = Draft(
            self.keys[index],
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

    def _draw_call(self) -> Call:
        draw = self.random
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
    """One line a block: its hash, the roots after it, the receipts' bytes, and how its transactions ended."""
    history = History(seed)
    lines = []
    for _ in range(blocks):
        transactions = history.draw_block()
        receipts = history.chain.add_block(transactions)
        head = history.chain.chain.head
        receipts_hash = sha256(b"".join(encode(receipt) for receipt in receipts)).hexdigest()
        outcomes = ",".join(f"{receipt.status.name}:{receipt.reason}" for receipt in receipts)
        roots = f"{head.state_root.hex()} {head.receipts_root.hex()}"
        lines.append(f"{head.header.height} {head.header.hash.hex()} {roots} {receipts_hash} {outcomes}")
    return lines


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1]), int(sys.argv[2]))))
