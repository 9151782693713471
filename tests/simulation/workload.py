"""What clients ask of the network: transfers of every kind, stake, elections, proposals, votes."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from identity.address import Address, compute_key_address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningPurpose, signing_bytes
from ledger.primitives import ChainId, Gas, Grains, Height, Sequence
from ledger.reasons import Rejected
from ledger.transaction import (
    FEE_PAYER,
    SENDER,
    Authorisation,
    Call,
    Transaction,
    TransactionBody,
    UnorderedSalt,
    build_transaction,
    encode_body,
)
from tests.simulation.cast import (
    ACCOUNTS,
    BOND_GRAINS,
    CHAIN_ID,
    get_account_address,
    get_account_secret,
    get_consensus_key,
    get_operator,
    get_operator_secret,
    sign,
)
from vm.native.accounts import get_account
from vm.native.governance import get_docket

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import Machine, World

GAS_LIMIT = 120_000
SHARE_OF_MODULES = 400
"""Of a thousand transactions, how many call a module that elects or governs."""
BODY_LAST = 4
VOTING_HEIGHTS_NORMAL = 12
VOTING_HEIGHTS_URGENT = 6
VOTING_HEIGHTS_EMERGENCY = 3

Asked = tuple[PrivateKey, Call]


class Clients:
    """Many wallets. They send through machines that are up, see what those say, and now and then make mistakes."""

    def __init__(self, world: "World", random: Random) -> None:
        self._world = world
        self._random = random
        self._makers = self._list_makers()
        self.admitted = 0
        self.refused = 0

    def act(self) -> None:
        """One transaction through one machine."""
        machines = [machine for machine in self._world.machines if machine.node is not None]
        if not machines:
            return
        machine = self._random.choice(machines)
        assert machine.node is not None, "just chosen for that"
        self._submit(machine, self._build(machine.node))

    def ask(self, machine: "Machine", key: PrivateKey, call: Call, price_grains: int | None = None) -> None:
        """A given call through a given machine, which is up, at this price or one that is drawn."""
        assert machine.node is not None, "the machine is up"
        self._submit(machine, self._sign(machine.node, key, [call], price_grains=price_grains))

    def _submit(self, machine: "Machine", transaction: Transaction) -> None:
        assert machine.node is not None, "the machine is up"
        outcome = machine.node.submit(transaction.raw)
        is_admitted = not isinstance(outcome, Rejected)
        self._world.note("asked", machine.number, transaction.id.hex(), is_admitted)
        if is_admitted:
            self.admitted += 1
            self._world.checks.note_promise(machine.number, transaction)
        else:
            self.refused += 1

    def _build(self, node: "Node") -> Transaction:
        random = self._random
        if random.randrange(1_000) < SHARE_OF_MODULES:
            key, call = random.choice(self._makers)(node)
            return self._sign(node, key, [call])
        key = get_account_secret(random.randrange(ACCOUNTS))
        kind = random.randrange(20)
        if kind == 0:
            return self._sign(node, key, [self._make_transfer(10**17)])
        if kind == 1:
            return self._sign(node, key, [self._make_transfer(5)], ahead=random.randint(1, 3))
        if kind == 2:
            return self._sign(node, key, [self._make_transfer(5)], ahead=-1, price_grains=9)
        if kind in (3, 4, 5):
            return self._sign(node, key, [self._make_transfer(7)], salt=random.randbytes(8))
        if kind == 6:
            payer = get_account_secret(random.randrange(ACCOUNTS))
            return self._sign(node, key, [self._make_transfer(3)], payer=None if payer is key else payer)
        if kind == 7:
            payments = [[get_account_address(random.randrange(ACCOUNTS)), random.randint(0, 9)] for _ in range(3)]
            return self._sign(node, key, [Call("iov", "batch_transfer", [payments])])
        if kind == 8:
            return self._sign(node, key, [self._make_transfer(1), self._make_transfer(10**17)])
        return self._sign(node, key, [self._make_transfer(random.randint(1, 10**6))])

    def _make_transfer(self, amount_grains: int) -> Call:
        return Call("iov", "transfer", [get_account_address(self._random.randrange(ACCOUNTS)), amount_grains])

    def _sign(
        self,
        node: "Node",
        key: PrivateKey,
        calls: list[Call],
        ahead: int = 0,
        price_grains: int | None = None,
        salt: bytes | None = None,
        payer: PrivateKey | None = None,
    ) -> Transaction:
        sender = compute_key_address(key.public_key)
        sequence = max(0, _find_next_sequence(node, sender) + ahead)
        price_grains = self._random.randint(1, 3) if price_grains is None else price_grains
        body = TransactionBody(
            version=1,
            chain_id=ChainId(CHAIN_ID),
            sender=sender,
            ordering=Sequence(sequence) if salt is None else UnorderedSalt(salt),
            valid_until=Height(node.chain.head.header.height + self._random.randint(2, 60)),
            gas_limit=Gas(GAS_LIMIT),
            fee_max_grains=Grains(GAS_LIMIT * price_grains),
            fee_payer=None if payer is None else compute_key_address(payer.public_key),
            calls=tuple(calls),
            memo="",
        )
        encoded = encode_body(body)
        message = signing_bytes(SigningPurpose.TRANSACTION, self._world.domain, encoded)
        signers = [(SENDER, key)] if payer is None else [(SENDER, key), (FEE_PAYER, payer)]
        authorisations = [
            Authorisation(role, KeyType.ED25519, each.public_key.key, sign(each.public_key.key, message))
            for role, each in signers
        ]
        return build_transaction(encoded, tuple(authorisations))

    # Elections and government

    def _list_makers(self) -> list[Callable[["Node"], Asked]]:
        holders = [self._ask_as_holder, self._ask_as_holder, self._ask_as_operator]
        return [*holders, self._propose, *[self._vote] * 4, self._ask_registry]

    def _ask_as_holder(self, _: "Node") -> Asked:
        random = self._random
        key = get_account_secret(random.randrange(ACCOUNTS))
        operator, amount_grains = self._draw_operator(), random.choice((1, 1_000, 10**9, 10**11))
        call, arguments = random.choice(
            (
                ("delegate", [operator, amount_grains]),
                ("delegate", [operator, amount_grains]),
                ("undelegate", [operator, amount_grains]),
                ("redelegate", [operator, self._draw_operator(), amount_grains]),
            )
        )
        return key, Call("staking", call, arguments)

    def _ask_as_operator(self, _: "Node") -> Asked:
        random = self._random
        key = get_operator_secret(self._draw_seat())
        call, arguments = random.choice(
            (
                ("stand", [random.choice((0, 500, 10_000)), random.choice((BOND_GRAINS // 2, BOND_GRAINS))]),
                ("bond", [random.choice((1, 10**9))]),
                ("unbond", [random.choice((1, 10**9, BOND_GRAINS))]),
                ("set_commission", [random.choice((0, 100, 2_000))]),
                ("unjail", []),
                ("unjail", []),
                *([("retire", [])] if random.randrange(10) == 0 else []),
            )
        )
        return key, Call("staking", call, arguments)

    def _propose(self, node: "Node") -> Asked:
        """Mostly what passes if two thirds want it; now and then too early, or by somebody who may not."""
        random = self._random
        key = self._draw_voter()
        call, arguments = random.choice(
            (
                ("propose_operator", [get_account_address(random.randrange(ACCOUNTS)), "a new operator"]),
                ("propose_operator_removal", [self._draw_operator()]),
                ("propose_parameter", ["price_floor_grains", random.choice((0, 1, 2))]),
                ("propose_parameter", ["block_interval_ms", random.choice((50, 100))]),
                ("propose_parameter", ["epoch_heights", random.choice((5, 9))]),
                ("propose_parameter", ["committee_seats", random.choice((3, 4, 5))]),
                ("propose_body", [random.randint(2, BODY_LAST), [get_account_address(0), get_account_address(1)]]),
                ("propose_spending", ["community", get_account_address(1), 10**6]),
                ("propose_pause", ["iov", 3]),
                ("propose_resume", ["iov"]),
            )
        )
        is_about_pause = call in ("propose_pause", "propose_resume")
        priority = random.choice((1, 2, 3) if is_about_pause or random.randrange(8) == 0 else (1, 2))
        voting_heights = (VOTING_HEIGHTS_NORMAL, VOTING_HEIGHTS_URGENT, VOTING_HEIGHTS_EMERGENCY)[priority - 1]
        effective_height = node.chain.head.header.height + voting_heights + random.randint(0, 8)
        return key, Call("governance", call, [*arguments, [priority, effective_height, "a change"]])

    def _vote(self, node: "Node") -> Asked:
        """On one of the last proposals, mostly in favour."""
        random = self._random
        count = get_docket(node.chain.open_state()).count
        proposal = max(0, count - random.randrange(4))
        return self._draw_voter(), Call("governance", "vote", [proposal, random.randrange(8) > 0])

    def _draw_voter(self) -> PrivateKey:
        random = self._random
        if random.randrange(5) == 0:
            return get_account_secret(random.randrange(ACCOUNTS))
        return get_operator_secret(self._draw_seat())

    def _ask_registry(self, _: "Node") -> Asked:
        """Asks that the registry refuses: a bad signature, a node of somebody else."""
        seat = self._draw_seat()
        call: tuple[str, list[Any]] = self._random.choice(
            (
                ("rotate_consensus", [bytes(32), get_consensus_key(seat), bytes(64), bytes(64)]),
                ("update_node", [bytes(32), "renamed", []]),
                ("remove_node", [bytes(32)]),
            )
        )
        return get_operator_secret(seat), Call("network", *call)

    def _draw_seat(self) -> int:
        return self._random.randrange(self._world.seats)

    def _draw_operator(self) -> Address:
        return get_operator(self._draw_seat())


def _find_next_sequence(node: "Node", sender: Address) -> int:
    """As wallets do: what the chain says, and what waits already."""
    sequence = get_account(node.chain.open_state(), sender).sequence
    waiting = {each.body.ordering for each in node.mempool.pending_for(sender)}
    while sequence in waiting:
        sequence += 1
    return sequence
