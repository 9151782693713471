"""What governance decides about distributions."""

from dataclasses import replace

import pytest

from identity.did import Did
from ledger.codec import to_plain
from ledger.reasons import Reason
from ledger.receipt import Event
from tests.builders import address_of, make_key
from tests.did_scene import build_create, control_of
from tests.distribution_scene import BREAKER, CHALLENGE_MS
from tests.vm.contracts.test_decisions import Chamber, applied
from vm.native.distribution_records import (
    NO_FLOW,
    Flow,
    ManifestHash,
    PostedRoot,
    Source,
    SourceId,
    SourceRules,
    VoidCause,
    find_root,
    find_source,
    get_flow,
    get_source,
    put_flow,
    put_root,
    put_source,
)
from vm.native.governance import ProposalStatus, get_proposal
from vm.native.mining_records import MINING_ADDRESS

OWNER = address_of(make_key("owner"))


@pytest.fixture
def chamber() -> Chamber:
    return Chamber()


@pytest.fixture
def rules(chamber: Chamber) -> SourceRules:
    did, call = build_create(control_of("attester"), "attester")
    assert chamber.send(call).reason == 0
    return SourceRules("dividend", OWNER, (did,), 1, CHALLENGE_MS, BREAKER)


def open_source(chamber: Chamber, rules: SourceRules) -> list[Event]:
    return chamber.decide("propose_source", to_plain(rules))


def test_governance_opens_a_source(chamber, rules):
    created = Event("distribution", "SourceCreated", [1, OWNER, "dividend"])
    assert open_source(chamber, rules) == [created, applied(1)]
    assert find_source(chamber.state, SourceId(1)) == Source(rules, 0, 0, 0, 0, 0)


def test_rules_that_cannot_work_are_not_proposed(chamber, rules):
    unknown = replace(rules, attesters=(Did(bytes(20)),))
    assert chamber.propose("propose_source", to_plain(unknown)) == Reason.UNKNOWN_DID
    missing = chamber.propose("propose_source_rules", 1, to_plain(rules))
    assert missing == Reason.DISTRIBUTION_UNKNOWN_SOURCE


def test_governance_changes_the_rules_of_a_source(chamber, rules):
    open_source(chamber, rules)
    put_flow(chamber.state, SourceId(1), Flow((), 10**12))
    changed = replace(rules, label="dividend, monthly", challenge_ms=1)
    events = chamber.decide("propose_source_rules", 1, to_plain(changed))
    assert events == [Event("distribution", "SourceRulesSet", [1]), applied(2)]
    assert (get_source(chamber.state, SourceId(1)).rules, get_flow(chamber.state, SourceId(1))) == (changed, NO_FLOW)


def test_governance_does_not_give_away_what_a_module_owns(chamber, rules):
    theirs = replace(rules, owner=MINING_ADDRESS)
    open_source(chamber, theirs)
    chamber.decide("propose_source_rules", 1, to_plain(replace(theirs, owner=OWNER)))
    assert get_proposal(chamber.state, 2).status is ProposalStatus.FAILED
    assert get_source(chamber.state, SourceId(1)).rules == theirs


def test_governance_resumes_a_source_that_was_tripped(chamber, rules):
    open_source(chamber, rules)
    assert chamber.propose("propose_source_resume", 1) == Reason.DISTRIBUTION_NOT_TRIPPED
    chamber.proposals -= 1
    put_flow(chamber.state, SourceId(1), Flow((), 10**12))
    assert chamber.decide("propose_source_resume", 1) == [Event("distribution", "SourceResumed", [1]), applied(2)]
    assert get_flow(chamber.state, SourceId(1)) == NO_FLOW


def test_governance_voids_a_root_that_counts(chamber, rules):
    open_source(chamber, rules)
    assert chamber.propose("propose_root_void", 1, 1) == Reason.DISTRIBUTION_UNKNOWN_ROOT
    chamber.proposals -= 1
    root = PostedRoot(bytes(32), 5, ManifestHash(bytes(32)), 0, 0, 1, 1, None)
    put_root(chamber.state, SourceId(1), 1, root)
    put_source(chamber.state, SourceId(1), Source(rules, 9, 2, 1, 1, 5))
    events = chamber.decide("propose_root_void", 1, 1)
    cause = VoidCause.GOVERNANCE
    assert events == [Event("distribution", "RootVoided", [1, 1, int(cause)]), applied(2)]
    assert find_root(chamber.state, SourceId(1), 1) == replace(root, voided=cause)
    assert get_source(chamber.state, SourceId(1)) == Source(rules, 9, 2, 1, 0, 0)
    assert chamber.propose("propose_root_void", 1, 1) == Reason.DISTRIBUTION_ROOT_VOID
