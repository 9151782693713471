"""What must hold at every step, whoever crashes or lies. Only honest machines are held to it."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgpack import unpackb

from consensus.certificate import check_certificate
from consensus.committee import proposer_index, quorum
from consensus.early import EARLY_PROPOSALS_MAX, EARLY_VOTES_MAX
from consensus.messages import (
    Message,
    Proposal,
    RoundSummary,
    Vote,
    VoteKind,
    get_proposal_message,
    get_vote_message,
    is_proposal_authentic,
    is_vote_authentic,
)
from consensus.safety import SignStep
from ledger.committee import Committee
from ledger.primitives import SUPPLY_GRAINS, BlockHash, ConsensusKey, Height, NodeKey, RootHash, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event, Status
from ledger.state import State
from ledger.state_keys import Table
from ledger.transaction import Transaction
from node.execution import CommittedBlock
from tests.simulation.ads_checks import check_ads
from tests.simulation.cast import verify
from tests.simulation.economy_checks import check_economy
from tests.simulation.identity_checks import check_identities
from tests.simulation.violation import require
from tests.stake_scene import check_books
from vm.native.accounts import Account
from vm.native.election import get_next_committee
from vm.native.network import get_nodes
from vm.native.stake import compute_delegation_value, get_candidates
from vm.parameters import get_parameters
from vm.proposal import get_next_block_rules
from vm.transition import check_admission

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World

LOG_RECORDS_MAX = 20_000
"""Of one height: 21 members' votes in a few hundred rounds."""
IDENTITIES_CHECKED_HEIGHTS = 8
"""Going through all tables of identities takes as long as a block."""
ECONOMY_CHECKED_HEIGHTS = 10
"""On every node: its store, and not only the roots it has computed, has to add up."""
ACCOUNT_PREFIX = bytes([Table.ACCOUNT])
SIGN_STEPS = {VoteKind.PREVOTE: SignStep.PREVOTE, VoteKind.PRECOMMIT: SignStep.PRECOMMIT}


class Checks:
    """What was seen so far, and the rules it must keep."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.blocks: dict[int, tuple[BlockHash, RootHash, RootHash]] = {}
        """By height: block hash, roots of the state and of the receipts after it."""
        self.committees: dict[int, tuple[Committee, tuple[int, ...]]] = {}
        """By height: who decides it, and whose turn it is."""
        self.final: dict[TransactionId, int] = {}
        self.skipped: dict[TransactionId, int] = {}
        """Which block skipped a transaction and so let it go."""
        self.promises: dict[int, dict[TransactionId, Transaction]] = {}
        """What each honest machine has admitted and still has to keep."""
        self.signed: dict[tuple[ConsensusKey, int, int, int], bytes] = {}
        self.locks: dict[tuple[ConsensusKey, int], tuple[int, BlockHash]] = {}
        self.prevoted: dict[tuple[int, int, BlockHash], set[int]] = {}
        self.equivocations = 0
        self.proposed_again = 0
        self.blames = 0
        self.invalid_blocks = 0
        self.evidence = 0
        self.skips = 0
        self.failed = 0
        self.free = 0
        self.events: Counter[str] = Counter()
        """How often each event happened, by module and name."""
        self.registries: dict[int, frozenset[NodeKey]] = {}
        """By height: who may connect to a node with that head."""
        self.newcomers_elected: set[ConsensusKey] = set()
        self.newcomer_blocks = 0
        self.refused = 0

    def note_height(self, node: "Node") -> None:
        """Who decides the block after this node's head, and who may connect: the same for all."""
        height = node.chain.head.header.height + 1
        if height not in self.committees:
            state = node.chain.open_state()
            rules = get_next_block_rules(node.chain.head, state)
            self.committees[height] = (rules.committee, rules.turns)
            self.registries[height - 1] = frozenset([each.key for each in get_nodes(state)])
            newcomers = self._world.operators.newcomer_keys
            self.newcomers_elected.update({each.consensus_key for each in rules.committee.members} & newcomers)

    # Blocks

    def check_commit(self, node: "Node", committed: CommittedBlock) -> None:
        """One block for each height, with the same results everywhere, and a valid certificate."""
        self.note_height(node)
        if not node.machine.is_honest:
            return
        header = committed.certified.block.header
        height, head = header.height, committed.head
        known = self.blocks.get(height)
        found = (header.hash, head.state_root, head.receipts_root)
        if known is not None:
            require(known[0] == found[0], f"two blocks are final at height {height}")
            require(known[1] == found[1], f"{node.machine.name} computes another state after block {height}")
            require(known[2] == found[2], f"{node.machine.name} computes other receipts of block {height}")
        journal, waiting = node.disk.journal, len(node.mempool)
        is_short = len(journal) <= journal.entries_max + 2 * waiting
        require(is_short or node.disk.space.is_full, "the journal is bounded")
        committee, _ = self.committees[height]
        stored = node.chain.get_block(height)
        require(stored is not None and stored == committed.certified, "a final block is stored as it was decided")
        check_certificate(committed.certified.certificate, header, committee, self._world.domain, verify)
        self._world.note("block", node.machine.number, height, header.hash.hex(), head.state_root.hex())
        if height % ECONOMY_CHECKED_HEIGHTS == 0:
            check_economy(node.chain.open_state(), height, header.time_ms)
        if known is None:
            self.blocks[height] = found
            self._check_first(node, committed)

    def _check_first(self, node: "Node", committed: CommittedBlock) -> None:
        """What needs looking at once, since the state is the same on all nodes."""
        height = committed.certified.block.header.height
        self.newcomer_blocks += committed.certified.block.header.proposer in self._world.operators.newcomer_keys
        self.evidence += len(committed.certified.block.evidence)
        self.events.update(f"{event.module}.{event.name}" for event in committed.events)
        for receipt in committed.receipts:
            if receipt.status is Status.SKIPPED:
                self.skips += 1
                if receipt.reason != Reason.SEQUENCE_TOO_HIGH:
                    self.skipped[receipt.transaction_id] = height
                continue
            self.failed += receipt.status is Status.FAILED
            self.free += receipt.fee_grains == 0
            self.events.update(f"{event.module}.{event.name}" for event in receipt.events)
            require(receipt.transaction_id not in self.final, "a transaction is included once")
            self.final[receipt.transaction_id] = height
        state = node.chain.open_state()
        accounts = [Account._make(unpackb(encoded)) for _, encoded in state.iterate_prefix(ACCOUNT_PREFIX)]
        total_grains = sum(account.balance_grains for account in accounts)
        require(total_grains == SUPPLY_GRAINS, f"after block {height} there are {total_grains} grains")
        check_books(state)
        check_ads(state)
        if height % IDENTITIES_CHECKED_HEIGHTS == 0:
            check_identities(state, height)
        if any(event.name == "EpochEnded" for event in committed.events):
            self._check_election(state, committed.events)

    def check_end(self) -> None:
        """After a run: what is not looked at after every block."""
        node = self._world.find_front()
        assert node is not None, "all is mended"
        check_identities(node.chain.open_state(), node.chain.head.header.height)
        for each in self._world.honest_up():
            header = each.chain.head.header
            check_economy(each.chain.open_state(), header.height, header.time_ms)

    def count_events(self, modules: Sequence[str]) -> dict[str, int]:
        """How often each event of some modules happened."""
        return {name: count for name, count in self.events.items() if name.partition(".")[0] in modules}

    def _check_election(self, state: State, events: Sequence[Event]) -> None:
        """A newcomer with more stake than a member of the next committee, or a free seat before it, is elected."""
        if any(event.name == "CommitteeKept" for event in events):
            return
        parameters = get_parameters(state)
        seated = [member.operator for member in get_next_committee(state).members]
        candidates = {candidate.operator: candidate for candidate in get_candidates(state)}
        least_grains = min(candidates[each].pool_grains if each in candidates else 0 for each in seated)
        for node in get_nodes(state):
            candidate = candidates.get(node.operator)
            if node.consensus_key not in self._world.operators.newcomer_keys or candidate is None:
                continue
            bond_grains = compute_delegation_value(state, node.operator, candidate)
            is_eligible = candidate.is_standing and not candidate.jailed_until_epoch
            if is_eligible and bond_grains >= parameters.candidate_bond_min_grains and node.operator not in seated:
                is_outranked = len(seated) == parameters.committee_seats and candidate.pool_grains <= least_grains
                require(is_outranked, "a newcomer is elected when its stake suffices")

    def check_invalid_block(self, node: "Node", proposal: Proposal, reason: str) -> None:
        """Honest proposers build valid blocks."""
        self.invalid_blocks += 1
        is_lie = not node.machine.is_honest or self.find_signer(proposal) in self._world.liar_keys
        require(is_lie, f"{node.machine.name} refuses what an honest member proposes: {reason}")

    # Transactions

    def is_final(self, transaction_id: TransactionId, head: int) -> bool:
        """Whether some block up to this head holds it; nodes ask this where they would ask their index."""
        return self.final.get(transaction_id, head + 1) <= head

    def note_promise(self, number: int, transaction: Transaction) -> None:
        """A machine told a client that it keeps the transaction until it is final or can never be."""
        if self._world.machines[number].is_honest:
            self.promises.setdefault(number, {})[transaction.id] = transaction

    def note_drop(self, node: "Node", transaction_id: TransactionId, reason: Reason) -> None:
        """A pool lets go of a transaction and says why."""
        self._world.note("drops", node.machine.number, transaction_id.hex(), reason.name)
        self.promises.get(node.machine.number, {}).pop(transaction_id, None)

    def note_power_cut(self, number: int) -> None:
        """The journal is not synced: a power cut may lose what this machine has promised to keep."""
        self.promises.pop(number, None)

    def check_promises(self, node: "Node") -> None:
        """Whatever this machine has promised to keep it has, or it is final, or the chain itself refuses it by now."""
        promises = self.promises.get(node.machine.number, {})
        head = node.chain.head.header.height
        state = node.chain.open_state()
        for transaction_id, transaction in list(promises.items()):
            if node.mempool.get_by_id(transaction_id) is not None:
                continue
            is_settled = self.is_final(transaction_id, head) or self.skipped.get(transaction_id, head + 1) <= head
            if not is_settled:
                try:
                    check_admission(state, transaction, Height(head + 1), node.wall_ms, get_parameters(state))
                except Rejected:
                    is_settled = True
            require(is_settled, f"{node.machine.name} lost the transaction {transaction_id.hex()} that it had admitted")
            del promises[transaction_id]

    # Signing and sending

    def find_signer(self, message: Vote | Proposal) -> ConsensusKey:
        """Whose signature stands under it."""
        committee, turns = self.committees[message.height]
        if isinstance(message, Vote):
            return committee.members[message.member_index].consensus_key
        return committee.members[proposer_index(turns, message.round)].consensus_key

    def check_vote_signing(self, node: "Node", vote: Vote, message: bytes) -> None:
        """What is signed is saved, contradicts nothing, and keeps the lock."""
        require(message == get_vote_message(self._world.domain, vote), "the signer signs what the vote says")
        if node.machine.is_honest:
            self._check_may_sign(node, SIGN_STEPS[vote.kind], vote.height, vote.round, message)
            if vote.block_hash is not None:
                self._check_block_kept(node, vote.block_hash)
                if vote.kind is VoteKind.PRECOMMIT:
                    self._check_polka_kept(node, vote, vote.block_hash)
                self._check_lock(node, vote)
        if vote.kind is VoteKind.PREVOTE and vote.block_hash is not None:
            self.note_prevote(vote)

    def note_prevote(self, vote: Vote) -> None:
        """Somebody has signed, or is about to sign, a prevote for a block."""
        if vote.block_hash is not None:
            self.prevoted.setdefault((vote.height, vote.round, vote.block_hash), set()).add(vote.member_index)

    def check_proposal_signing(self, node: "Node", proposal: Proposal, message: bytes) -> None:
        """What is signed is saved and contradicts nothing."""
        domain = self._world.domain
        require(message == get_proposal_message(domain, proposal), "the signer signs what the proposal says")
        self.proposed_again += proposal.valid_round >= 0
        if node.machine.is_honest:
            self._check_may_sign(node, SignStep.PROPOSAL, proposal.height, proposal.round, message)
            if proposal.envelope_hashes or proposal.evidence:
                self._check_block_kept(node, proposal.block_hash)

    def _check_may_sign(self, node: "Node", step: SignStep, height: int, round_number: int, message: bytes) -> None:
        last = node.disk.safety.get_last(step)
        require(last is not None and last.message == message, "what is signed is on disk before")
        require(node.chain.head.header.height == height - 1, "the block before is on disk before anything is signed")
        assert node.machine.key is not None, "only members sign"
        known = self.signed.setdefault((node.machine.key, height, round_number, step), message)
        require(known == message, f"{node.machine.name} signs twice at height {height}, round {round_number}")

    def _check_block_kept(self, node: "Node", block_hash: BlockHash) -> None:
        """A crash of all machines must not lose a block that somebody voted for."""
        assembled = node.get_assembled(block_hash)
        is_empty = assembled is not None and not assembled.transactions and not assembled.block.evidence
        is_kept = is_empty or assembled is None or block_hash in node.disk.proposed
        require(is_kept, "a block is on disk before a vote for it is signed")

    def _check_polka_kept(self, node: "Node", vote: Vote, block_hash: BlockHash) -> None:
        """A lock survives a crash, and so do the prevotes that it rests on: others may need to see them."""
        safety = node.disk.safety
        require(
            (safety.locked_round, safety.locked_hash) == (vote.round, block_hash), "a lock is saved with its precommit"
        )
        prevoters = node.disk.log.list_synced_prevoters(vote.round, block_hash)
        own = safety.prevote
        if own is not None and (own.round, own.block_hash) == (vote.round, block_hash):
            prevoters.add(vote.member_index)
        needed = quorum(len(self.committees[vote.height][0].members))
        require(len(prevoters) >= needed, "what a lock rests on is on disk before its precommit is signed")

    def _check_lock(self, node: "Node", vote: Vote) -> None:
        """Who has precommitted a block prevotes another one only if two thirds prevoted that since."""
        assert node.machine.key is not None and vote.block_hash is not None
        if vote.kind is VoteKind.PRECOMMIT:
            self.locks[node.machine.key, vote.height] = (vote.round, vote.block_hash)
            return
        locked_round, locked_hash = self.locks.get((node.machine.key, vote.height), (-1, vote.block_hash))
        if locked_hash == vote.block_hash:
            return
        needed = quorum(len(self.committees[vote.height][0].members))
        polkas = (
            self.prevoted.get((vote.height, round_number, vote.block_hash), ())
            for round_number in range(max(locked_round, 0), vote.round)
        )
        require(any(len(members) >= needed for members in polkas), "a lock is kept until two thirds go on")

    def check_signing_room(self, node: "Node") -> None:
        """A node whose disk is full signs nothing."""
        require(not node.disk.space.is_full, "nothing is signed while the disk is full")

    def check_sending(self, node: "Node", message: Message) -> None:
        """What a member says under its own key stood in its safety state before."""
        if isinstance(message, RoundSummary) or not node.machine.is_honest or node.machine.key is None:
            return
        if self.find_signer(message) != node.machine.key:
            return
        domain = self._world.domain
        signed = (
            get_vote_message(domain, message) if isinstance(message, Vote) else get_proposal_message(domain, message)
        )
        require(signed in node.disk.messages_saved, "what is sent was saved before")

    def check_hearing(self, node: "Node", sender: NodeKey) -> None:
        """Nobody is heard whom the registry does not hold, as of the block that the hearer has come to."""
        if node.machine.is_honest:
            known = self.registries[node.chain.head.header.height]
            require(sender in known, f"{node.machine.name} hears only registered nodes")

    # What nodes say of each other

    def check_accusation(self, node: "Node", first: Vote | Proposal, second: Vote | Proposal) -> None:
        """An accusation is a proof, and never against an honest member."""
        if not node.machine.is_honest:
            return
        self.equivocations += 1
        require(type(first) is type(second), "two messages of one kind")
        require((first.height, first.round) == (second.height, second.round), "two messages of one round")
        committee, turns = self.committees[first.height]
        domain = self._world.domain
        if isinstance(first, Vote) and isinstance(second, Vote):
            is_proof = (first.kind, first.member_index) == (second.kind, second.member_index)
            is_proof = is_proof and first.block_hash != second.block_hash
            is_proof = is_proof and all(is_vote_authentic(each, committee, domain, verify) for each in (first, second))
        else:
            assert isinstance(first, Proposal) and isinstance(second, Proposal)
            is_proof = (first.block_hash, first.valid_round) != (second.block_hash, second.valid_round)
            is_proof = is_proof and all(
                is_proposal_authentic(each, committee, turns, domain, verify) for each in (first, second)
            )
        require(is_proof, "an accusation is a proof")
        require(self.find_signer(first) in self._world.liar_keys, "an honest member is accused")

    def check_blame(self, node: "Node", peer: int, reason: str) -> None:
        """Only who lies is blamed by those who do not."""
        if node.machine.is_honest:
            self.blames += 1
            machine = self._world.machines[peer]
            require(not machine.is_honest, f"{node.machine.name} blames {machine.name}, which is honest: {reason}")

    # Limits

    def check_bounds(self, node: "Node") -> None:
        """Whatever peers and clients do, nothing grows without end."""
        limits = self._world.mempool_limits
        early = node.core._early
        require(len(node.mempool) <= limits.transactions_max, "the mempool is bounded")
        require(node.mempool.total_bytes <= limits.bytes_max, "the mempool's bytes are bounded")
        require(len(early._events) <= EARLY_VOTES_MAX + EARLY_PROPOSALS_MAX, "early messages are bounded")
        require(len(node.disk.log) <= LOG_RECORDS_MAX, "the log of a height is bounded")
        self.check_promises(node)
        require(len(node.inbox) <= node.peer_events_max + node.own_events_max, "waiting events are bounded")
        require(len(node.evidence) <= node.evidence_max, "evidence is bounded")
