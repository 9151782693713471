"""What a block must look like: every field of the header follows, and every limit holds."""

from dataclasses import fields, replace

import pytest

from ledger.block import Header, compute_evidence_root
from ledger.primitives import EMPTY_ROOT, ConsensusKey, Round
from tests.builders import DOMAIN, PARAMETERS, Draft, address_of, make_key, transfer
from tests.chains import BLOCK_TIME_MS, COMMITTEE, OTHER_COMMITTEE, SmallChain
from vm.proposal import InvalidBlockError, build_header, check_block, get_next_block_rules

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


def pay(sequence: int, **options):
    return Draft(ALICE, [transfer(B, 5)], sequence=sequence, **options).sign()


def make_rules(**options):
    small = SmallChain({A: 10**12}, **options)
    small.add_block([pay(0)])
    return get_next_block_rules(small.chain.head, small.chain.open_state())


def propose(rules, transactions, **changes) -> Header:
    header = build_header(
        rules,
        Round(0),
        rules.head.header.time_ms + BLOCK_TIME_MS,
        COMMITTEE.members[0].consensus_key,
        [transaction.envelope_hash for transaction in transactions],
    )
    return replace(header, **changes)


def refuse(rules, transactions, expected: str, evidence=(), **changes) -> None:
    with pytest.raises(InvalidBlockError, match=expected):
        check_block(rules, DOMAIN, propose(rules, transactions, **changes), transactions, evidence)


def test_the_rules_are_read_from_head_and_state():
    rules = make_rules(next_committee=OTHER_COMMITTEE)
    assert (rules.height, rules.parameters) == (2, PARAMETERS)
    assert (rules.committee, rules.next_committee) == (OTHER_COMMITTEE, OTHER_COMMITTEE), "named by block 1"


def test_a_header_states_what_follows_from_the_chain():
    rules = make_rules()
    transactions = [pay(1), pay(2)]
    header = propose(rules, transactions)
    head = rules.head
    assert header.height == head.header.height + 1 == 2
    assert header.previous_hash == head.header.hash
    assert (header.state_root, header.receipts_root) == (head.state_root, head.receipts_root)
    assert (header.committee_hash, header.next_committee_hash) == (COMMITTEE.hash, COMMITTEE.hash)
    assert (header.parameters_hash, header.evidence_root) == (PARAMETERS.hash, EMPTY_ROOT)
    check_block(rules, DOMAIN, header, transactions, ())
    check_block(rules, DOMAIN, propose(rules, []), [], ())


FREE_FIELDS = {"round", "time_ms", "proposer"}
WRONG = {
    int: lambda value: value + 1,
    str: lambda value: value + "x",
    bytes: lambda value: bytes([value[0] ^ 1]) + value[1:],
}


@pytest.mark.parametrize("name", [each.name for each in fields(Header) if each.name not in FREE_FIELDS])
def test_no_field_that_follows_may_differ(name):
    rules = make_rules()
    value = getattr(propose(rules, [pay(1)]), name)
    refuse(rules, [pay(1)], f"the header's {name} ", **{name: WRONG[type(value)](value)})


def test_round_time_and_proposer_are_the_consensus_to_judge():
    rules = make_rules()
    header = propose(rules, [], round=Round(7), proposer=ConsensusKey(bytes(32)))
    check_block(rules, DOMAIN, header, [], ())


@pytest.mark.parametrize("step_ms", [0, -1])
def test_time_goes_forward(step_ms):
    rules = make_rules()
    refuse(rules, [], "not later", time_ms=rules.head.header.time_ms + step_ms)
    check_block(rules, DOMAIN, propose(rules, [], time_ms=rules.head.header.time_ms + 1), [], ())


def test_a_body_that_is_not_the_headers_is_refused():
    rules = make_rules()
    header = propose(rules, [pay(1), pay(2)])
    for transactions in ([pay(2), pay(1)], [pay(1)], [pay(1), pay(2), pay(3)], []):
        with pytest.raises(InvalidBlockError, match="transactions_root"):
            check_block(rules, DOMAIN, header, transactions, ())


def test_evidence_must_prove_an_offence():
    evidence = [b"evidence"]
    refuse(make_rules(), [], "evidence: does not decode", evidence, evidence_root=compute_evidence_root(evidence))


def test_count_bytes_and_gas_are_limited_to_the_last_one():
    size = len(pay(1).raw)
    for name, limit, message in [
        ("block_transactions_max", 3, "more than 3 transactions"),
        ("block_bytes_max", 3 * size, f"more than {3 * size} bytes"),
        ("block_gas_max", 60_000, "more than 60000 gas"),
    ]:
        rules = replace(make_rules(), parameters=replace(PARAMETERS, **{name: limit}))
        transactions = [pay(sequence) for sequence in range(1, 5)]
        check_block(rules, DOMAIN, propose(rules, transactions[:3]), transactions[:3], ())
        refuse(rules, transactions, message)


def test_a_transaction_stands_once_even_with_other_signatures():
    """The id leaves signatures out, so a second envelope of the same body is the same transaction."""
    rules = make_rules()
    policy_signed = pay(1, more_keys=[make_key("bob")])
    refuse(rules, [pay(1), policy_signed], "stands twice")
    refuse(rules, [pay(1), pay(1)], "stands twice")


@pytest.mark.parametrize(
    ("transaction", "reason"),
    [
        (pay(1, chain_id="elsewhere"), "WRONG_CHAIN"),
        (pay(1, gas_limit=500), "GAS_LIMIT_TOO_LOW"),
        (pay(1, valid_until=1), "EXPIRED"),
        (pay(bytes(8), valid_until=603), "VALID_UNTIL_TOO_FAR"),
    ],
)
def test_what_can_be_told_from_a_transaction_alone_makes_the_block_invalid(transaction, reason):
    rules = make_rules()
    refuse(rules, [pay(1), transaction], f"{transaction.id.hex()}: {reason}")


def test_what_only_the_state_tells_does_not():
    """Sequence, funds and keys are judged when the block is executed: such a transaction is skipped."""
    rules = make_rules()
    transactions = [pay(0), pay(9), Draft(make_key("poor"), [transfer(B, 1)]).sign(), pay(2, price_grains=0)]
    check_block(rules, DOMAIN, propose(rules, transactions), transactions, ())


def test_limits_are_inclusive():
    rules = make_rules()
    transactions = [pay(1, valid_until=2), pay(bytes(8), valid_until=602)]
    check_block(rules, DOMAIN, propose(rules, transactions), transactions, ())
