"""A state with operators that stand for election and holders that stake, block by block without transactions' fees."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from identity.address import ADDRESS_BYTES, Address
from ledger.codec import decode
from ledger.committee import Committee, Member
from ledger.evidence import Offence
from ledger.primitives import (
    GRAINS_PER_IOV,
    SUPPLY_GRAINS,
    ConsensusKey,
    Height,
    NodeKey,
    Round,
    Signature,
    TimeMs,
    TransactionId,
)
from ledger.reasons import Rejected
from ledger.receipt import Event
from ledger.state import State
from ledger.state_keys import Table
from tests.builders import DOMAIN, PARAMETERS, address_of, make_key
from vm.block_end import apply_block_end
from vm.context import BlockContext, Context
from vm.gas import GasMeter
from vm.native.accounts import get_account
from vm.native.election import begin_first_epoch, get_committee
from vm.native.iov import STAKING_ADDRESS, credit, debit
from vm.native.network import NodeRole, Operator, RegisteredNode, put_node, put_operator
from vm.native.registry import find_call
from vm.native.stake import (
    Delegation,
    Unbonding,
    UnbondingPool,
    add_stake,
    build_candidate,
    get_candidates,
    get_holdings,
    put_candidate,
)

IOV = GRAINS_PER_IOV
OPERATORS = tuple(sorted(address_of(make_key(f"operator {index}")) for index in range(8)))
"""In the order of their addresses."""
KEYS = tuple(ConsensusKey(make_key(f"consensus {index}").public_key.key) for index in range(8))
HOLDERS = tuple(address_of(make_key(f"holder {index}")) for index in range(3))
BANK = address_of(make_key("bank"))
HOLDER_GRAINS = 10_000 * IOV
BOND_GRAINS = 100 * IOV
STAKING_PARAMETERS = replace(
    PARAMETERS,
    epoch_heights=5,
    committee_seats=4,
    committee_members_min=3,
    candidate_bond_min_grains=10 * IOV,
    absence_heights_max=10,
)


@dataclass
class StakeScene:
    """The first four operators form the committee, each with a bond; the others are admitted and registered only."""

    parameters: Any = STAKING_PARAMETERS
    seats: int = 4
    height: int = 1
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = State(lambda key: None, lambda start, stop: iter(()))
        members = [Member(OPERATORS[index], KEYS[index]) for index in range(self.seats)]
        begin_first_epoch(self.state, Committee(tuple(members)))
        rest = SUPPLY_GRAINS
        for address in (*OPERATORS, *HOLDERS):
            credit(self.state, address, HOLDER_GRAINS, 0)
            rest -= HOLDER_GRAINS
        for index, operator in enumerate(OPERATORS):
            put_operator(self.state, Operator(operator, f"operator {index}"))
            put_node(self.state, build_node(index, operator))
        for member in members:
            candidate = build_candidate(member.operator, 1_000, is_standing=True)
            credit(self.state, STAKING_ADDRESS, BOND_GRAINS, 0)
            add_stake(self.state, member.operator, candidate, BOND_GRAINS, 0)
            rest -= BOND_GRAINS
        credit(self.state, BANK, rest, 0)

    def build_block(
        self, proposer: int | None = None, round_number: int = 0, offences: Sequence[Offence] = ()
    ) -> BlockContext:
        """The block being executed."""
        members = get_committee(self.state).members
        key = members[self.height % len(members) if proposer is None else proposer].consensus_key
        return BlockContext(
            Height(self.height),
            TimeMs(self.height * 1_000),
            key,
            self.parameters,
            DOMAIN,
            Round(round_number),
            tuple(offences),
        )

    def call(self, sender: Address, name: str, **arguments: Any) -> list[Event]:
        """Execute a call of the module; what it did is undone when it is refused."""
        ready = find_call("staking", name)
        context = Context(self.build_block(), sender, sender, TransactionId(bytes(32)), GasMeter(10**9, 0))
        mark = self.state.get_mark()
        try:
            ready.rule.apply(self.state, context, ready.rule.arguments(**arguments))
        except Rejected:  # as a transaction that fails; anything else is a fault and ends the test as it is
            self.state.undo_to(mark)
            raise
        return context.events

    def end_block(
        self,
        proposer: int | None = None,
        round_number: int = 0,
        offences: Sequence[Offence] = (),
        fees_grains: int = 0,
    ) -> list[Event]:
        """Execute a block's end; its fees come from the bank."""
        block = self.build_block(proposer, round_number, offences)
        if fees_grains:
            debit(self.state, BANK, fees_grains, block.time_ms)
        events = apply_block_end(self.state, block, fees_grains)
        self.height += 1
        return list(events)

    def end_epoch(self, fees_grains: int = 0) -> list[Event]:
        """Blocks up to the epoch's last; the fees are those of the last one."""
        events: list[Event] = []
        while not any(event.name == "EpochEnded" for event in events):
            is_last = self.height % self.parameters.epoch_heights == 0
            events += self.end_block(fees_grains=fees_grains if is_last else 0)
        return events

    def end_epoch_without(self, absent: int) -> list[Event]:
        """The same, with blocks that only the others propose."""
        events: list[Event] = []
        while not any(event.name == "EpochEnded" for event in events):
            events += self.end_block(proposer=(absent + 1) % self.seats)
        return events

    def stand(self, index: int, bond_grains: int = BOND_GRAINS) -> None:
        """An operator beyond the committee becomes a candidate."""
        self.call(OPERATORS[index], "stand", commission_bps=1_000, bond_grains=bond_grains)

    def get_balance(self, address: Address) -> int:
        """What an account can move."""
        return get_account(self.state, address).balance_grains

    def list_operators(self) -> list[int]:
        """Who forms the committee, by index."""
        return [OPERATORS.index(member.operator) for member in get_committee(self.state).members]


def build_node(index: int, operator: Address) -> RegisteredNode:
    """An operator's registered super node."""
    return RegisteredNode(
        key=NodeKey(make_key(f"node {index}").public_key.key),
        certificate_signature=Signature(bytes(64)),
        operator=operator,
        role=NodeRole.SUPER_NODE,
        consensus_key=KEYS[index],
        name=f"node-{index}",
        addresses=(),
    )


def check_books(state: State) -> None:
    """Every sum that must be exact after every step."""
    accounts = dict(_list_records(state, Table.ACCOUNT))
    balances = {Address(key): get_account(state, Address(key)) for key in accounts}
    assert sum(account.balance_grains for account in balances.values()) == SUPPLY_GRAINS
    assert all(min(account.balance_grains, account.staked_grains) >= 0 for account in balances.values())
    candidates = get_candidates(state)
    pools = {key: decode(UnbondingPool, each) for key, each in _list_records(state, Table.UNBONDING_POOL)}
    staked = sum(each.pool_grains for each in candidates) + sum(pool.grains for pool in pools.values())
    assert get_account(state, STAKING_ADDRESS).balance_grains == staked
    books: dict[bytes, int] = {}
    shares: dict[bytes, int] = {}
    counts: dict[bytes, int] = {}
    for key, encoded in _list_records(state, Table.DELEGATION):
        delegator, operator = key[:ADDRESS_BYTES], key[ADDRESS_BYTES:]
        delegation = decode(Delegation, encoded)
        assert delegation.shares > 0
        shares[operator] = shares.get(operator, 0) + delegation.shares
        books[delegator] = books.get(delegator, 0) + delegation.book_grains
        counts[delegator] = counts.get(delegator, 0) + 1
    assert shares == {each.operator: each.pool_shares for each in candidates if each.pool_shares}
    assert all(each.pool_grains == 0 for each in candidates if each.pool_shares == 0)
    leaving: dict[bytes, int] = {}
    names: dict[bytes, list[tuple[int, bytes]]] = {}
    for key, encoded in _list_records(state, Table.UNBONDING):
        epoch, operator, delegator = key[:8], key[8 : 8 + ADDRESS_BYTES], key[8 + ADDRESS_BYTES :]
        unbonding = decode(Unbonding, encoded)
        leaving[operator + epoch] = leaving.get(operator + epoch, 0) + unbonding.shares
        books[delegator] = books.get(delegator, 0) + unbonding.book_grains
        names.setdefault(delegator, []).append((int.from_bytes(epoch, "big"), operator))
    assert leaving == {key: pool.shares for key, pool in pools.items()}
    for address, account in balances.items():
        assert account.staked_grains == books.get(address, 0)
        holdings = get_holdings(state, address)
        assert holdings.delegations == counts.get(address, 0)
        assert sorted((each.release_epoch, each.operator) for each in holdings.unbondings) == names.get(address, [])


def jail(scene: StakeScene, index: int, until_epoch: int) -> None:
    """Jail a candidate out of hand."""
    (candidate,) = [each for each in get_candidates(scene.state) if each.operator == OPERATORS[index]]
    put_candidate(scene.state, replace(candidate, jailed_until_epoch=until_epoch))


def _list_records(state: State, table: Table) -> list[tuple[bytes, bytes]]:
    return [(key[1:], encoded) for key, encoded in state.iterate_prefix(bytes([table]))]
