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
from tests.did_scene import build_call, build_create, control_of
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
from vm.native.accounts import get_account
from vm.native.did_payloads import DeactivatePayload, UpdatePayload
from vm.native.did_records import Service, get_did_record
from vm.native.iov import MODULE_ACCOUNTS

ACCOUNTS = 12
START_GRAINS = 40_000_000
PUBLICATION_HEIGHTS = (2, 9, 30)
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
        self.publisher_key = make_key("publisher")
        self.publisher = address_of(self.publisher_key)
        code = build_puppet()
        self.contracts = [
            find_address(self.publisher, code, bytes([index])) for index in range(len(PUBLICATION_HEIGHTS))
        ]
        self.chain = SmallChain(
            dict.fromkeys([*self.addresses[:-2], self.policy_address, self.publisher], START_GRAINS)
        )

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
        if height in PUBLICATION_HEIGHTS:
            publication = self._publish(height)
            transactions[publication.id] = publication
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

    def _draw_identity(self) -> Call:
        """An identity begins, or one that did changes: by the right keys of the right version, mostly."""
        draw = self.random
        name = draw.choice(("ed25519 a", "p256 b", "secp256k1 c"))
        did, create = build_create(control_of(name), name, salt=draw.choice((b"1", b"2")))
        record = get_did_record(self.chain.chain.open_state(), did)
        if record is None:
            return create
        version_id = record.current.version_id
        signer = name if draw.random() < 0.8 else "ed25519 a"
        services = tuple(Service(f"s{index}", "Web", "https://example.com/") for index in range(draw.randrange(3)))
        payloads = [UpdatePayload(did, version_id, services)] * 20 + [DeactivatePayload(did, version_id, None)]
        return build_call(draw.choice(payloads), signer)

    def _draw_call(self) -> Call:
        draw = self.random
        if draw.random() < 0.3:
            contract, value = draw.choice(self.contracts), draw.choice((0, 0, 300))
            return Call("contracts", "call", [contract, "run", pack_script(*self._draw_script()), value])
        if draw.random() < 0.15:
            return self._draw_identity()
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
