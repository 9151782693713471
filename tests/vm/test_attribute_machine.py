"""Everybody asks, answers, withdraws, replays and lets time pass in any order: after every step each request has gone
one allowed way, counts agree with what is there, the log tells all of it, and nothing happened without its holder.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from identity.did import Did
from ledger.transaction import Call
from tests.attribute_scene import AttributeScene, build_answer, build_attribute_call
from vm.native.attribute_payloads import ApprovalPayload, RequestId, RequestIdPayload, TagRemovalPayload
from vm.native.attribute_records import (
    OPEN_BETWEEN_MAX,
    LogAction,
    RequestState,
    compute_request_id,
    find_request,
    get_attribute_record,
    iterate_received,
    iterate_sent,
    list_log,
    list_tags,
    list_waiting,
)

KEYS = ("alice", "shop", "bob")
INDEX = st.integers(0, 2)
NAMES = st.sampled_from([["adult"], ["born", "city"], ["adult", "born", "city"], ["city", "born"], ["born", "born"]])
SIGNER = st.one_of(st.none(), st.none(), INDEX)
"""Nobody in particular: the one who has the say."""
OPEN, APPROVED, REFUSED, WITHDRAWN = (
    RequestState.OPEN,
    RequestState.APPROVED,
    RequestState.REFUSED,
    RequestState.WITHDRAWN,
)
ANSWERS = {"approve": APPROVED, "refuse": REFUSED, "withdraw_consent": WITHDRAWN}
ACTIONS = {APPROVED: LogAction.APPROVED, REFUSED: LogAction.REFUSED, WITHDRAWN: LogAction.WITHDRAWN}


class AttributeMachine(RuleBasedStateMachine):
    """Three identities; the model is a state for each request, and what each holder's log must say."""

    @initialize()
    def begin(self):
        self.scene = AttributeScene()
        self.dids: list[Did] = [self.scene.holder, self.scene.verifier, self.scene.dids.create("bob")]
        self.ended: set[Did] = set()
        self.states: dict[RequestId, RequestState] = {}
        self.logs: dict[Did, list[tuple[LogAction, RequestId]]] = {did: [] for did in self.dids}
        self.tags: dict[Did, set[str]] = {did: set() for did in self.dids}
        self.sent: list[Call] = []

    def attempt(self, call: Call) -> bool:
        """Whether it succeeded; a refused call changes nothing."""
        before = self.scene.list_changes()
        receipt = self.scene.dids.send(call)
        assert not receipt.reason or self.scene.list_changes() == before
        if not receipt.reason:
            self.sent.append(call)
        return not receipt.reason

    @rule(verifier=INDEX, holder=INDEX, signer=SIGNER, names=NAMES, heights=st.integers(0, 30))
    def ask(self, verifier, holder, signer, names, heights):
        did, other = self.dids[verifier], self.dids[holder]
        signer = verifier if signer is None else signer
        payload = self.scene.payload(*names, verifier=did, holder=other, heights=heights)
        waiting = list_waiting(get_attribute_record(self.scene.dids.state, other).open_received, self.scene.dids.height)
        may = (
            signer == verifier != holder
            and not self.ended & {did, other}
            and names == sorted(set(names))
            and heights > 0
            and sum(each.other == did for each in waiting) < OPEN_BETWEEN_MAX
        )
        assert self.attempt(build_attribute_call("request", payload, (did, KEYS[signer]))) == may
        if may:
            request_id = compute_request_id(payload)
            self.states[request_id] = OPEN
            self.logs[other].append((LogAction.REQUESTED, request_id))

    @rule(
        position=st.integers(0, 30),
        call=st.sampled_from(["approve", "refuse", "withdraw_consent"]),
        signer=SIGNER,
        is_whole=st.sampled_from([True, True, False]),
    )
    def answer(self, position, call, signer, is_whole):
        if not self.states:
            return
        request_id = list(self.states)[position % len(self.states)]
        found = find_request(self.scene.dids.state, request_id, self.scene.dids.height - 1)
        assert found is not None
        holder, names = found.payload.holder, found.payload.names
        index = self.dids.index(holder) if signer is None else signer
        payload: object = RequestIdPayload(holder, request_id)
        if call == "approve":
            given = names if is_whole else (*names, "more")
            payload = ApprovalPayload(holder, request_id, tuple(build_answer(name) for name in given))
        may = self.dids[index] == holder not in self.ended
        if call == "withdraw_consent":
            may = may and self.states[request_id] is APPROVED
        else:
            may = may and self.states[request_id] is OPEN and self.scene.dids.height <= found.payload.expiry_height
        if call == "approve":
            may = may and is_whole and found.payload.did not in self.ended
        assert self.attempt(build_attribute_call(call, payload, (holder, KEYS[index]))) == may
        if may:
            self.states[request_id] = ANSWERS[call]
            self.logs[holder].append((ACTIONS[ANSWERS[call]], request_id))

    @rule(index=INDEX, signer=SIGNER, name=st.sampled_from(["city", "born"]), is_removal=st.booleans())
    def tag(self, index, signer, name, is_removal):
        did, signer = self.dids[index], index if signer is None else signer
        payload, call = self.scene.tag(name, did=did), "set_tag"
        if is_removal:
            payload, call = TagRemovalPayload(did, self.scene.sequence(did), name), "remove_tag"
        may = index == signer and did not in self.ended and not (is_removal and name not in self.tags[did])
        assert self.attempt(build_attribute_call(call, payload, (did, KEYS[signer]))) == may
        if may:
            self.tags[did] ^= {name} if is_removal else {name} - self.tags[did]

    @rule(position=st.integers(0, 100))
    def replay(self, position):
        if self.sent:
            assert not self.attempt(self.sent[position % len(self.sent)])

    @rule(count=st.integers(1, 10))
    def pass_blocks(self, count):
        self.scene.pass_blocks(count)

    @rule(index=INDEX, chance=st.integers(0, 9))
    def end(self, index, chance):
        if chance == 0 and self.dids[index] not in self.ended:
            self.scene.deactivate(self.dids[index], KEYS[index])
            self.ended.add(self.dids[index])

    @invariant()
    def requests_are_as_the_model_has_them(self):
        height = self.scene.dids.height - 1
        for request_id, state in self.states.items():
            found = find_request(self.scene.dids.state, request_id, height)
            assert found is not None
            is_late = state is OPEN and height >= found.payload.expiry_height
            assert found.state is (RequestState.EXPIRED if is_late else state)
            assert bool(found.answers) == (state is APPROVED)

    @invariant()
    def lists_and_counts_agree(self):
        state, height = self.scene.dids.state, self.scene.dids.height
        received: list[RequestId] = []
        sent: list[RequestId] = []
        for did in self.dids:
            record = get_attribute_record(state, did)
            assert {each.name for each in list_tags(state, did)} == self.tags[did]
            assert record.tags == len(self.tags[did])
            log = [(each.entry.action, each.entry.request_id) for each in list_log(state, did, 0, 10_000)]
            assert log == self.logs[did][::-1]
            mine = {
                "received": list(iterate_received(state, did, 0, height - 1)),
                "sent": list(iterate_sent(state, did, 0, height - 1)),
            }
            received += [each.request_id for each in mine["received"]]
            sent += [each.request_id for each in mine["sent"]]
            for listed, waiting in [(mine["received"], record.open_received), (mine["sent"], record.open_sent)]:
                open_now = [each.request_id for each in listed if each.request.state is OPEN]
                assert [each.request_id for each in list_waiting(waiting, height)] == open_now[::-1]
        assert sorted(received) == sorted(sent) == sorted(self.states)


AttributeMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
test_attributes = AttributeMachine.TestCase
