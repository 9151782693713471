"""Everybody signs anything for anybody in any order: versions chain without a gap, nothing happens without authority,
what has ended stays so, and links are one to one after every step.
"""

from dataclasses import replace

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from identity.did import Did
from ledger.codec import decode
from ledger.reasons import Reason
from ledger.state_keys import Table
from ledger.transaction import Call
from tests.builders import address_of, make_state
from tests.did_scene import SENDER, DidScene, build_call, build_create, commit, control_of, key_of, policy_of
from vm.native.did_records import (
    Control,
    Controllers,
    DidKind,
    DidOperation,
    DidRecord,
    DidVersion,
    Guardians,
    Service,
    find_did_version,
    get_account_did,
    get_did_record,
    get_did_version,
    get_recovery,
)

NAMES = ("a", "b", "c", "d")
"""Keys; whoever holds an identity may hold any of them."""
ACCOUNTS = {address_of(key_of(name)): 10**9 for name in NAMES}
NAME = st.sampled_from(NAMES)
KEYS = {name: key_of(name).public_key for name in NAMES}
HONEST = st.sampled_from([True, True, False])
SIGNERS = st.lists(st.tuples(st.integers(0, 7), NAME), min_size=1, max_size=4, unique=True)


def get_reason(number: int) -> str:
    """The name of a receipt's reason."""
    return Reason(number).name if number else "done"


class DidMachine(RuleBasedStateMachine):
    """A few identities; the model knows what each may become by whose signatures."""

    @initialize()
    def begin(self):
        self.scene = DidScene(state=make_state({address_of(SENDER): 10**14, **ACCOUNTS}))
        self.dids: list[Did] = [self.scene.create(name) for name in ("a", "b")]
        guarded = control_of("c", guardians=Guardians(tuple(sorted(self.dids)), 2))
        committed = control_of("d", next_keys=commit("c"), recovery_keys=commit("d"))
        self.dids += [self.scene.create("c", control=guarded), self.scene.create("d", control=committed)]
        self.ids: dict[Did, list[bytes]] = {did: [self.scene.version_of(did)] for did in self.dids}
        self.ended: set[Did] = set()

    def pick(self, index: int) -> Did:
        return self.dids[index % len(self.dids)]

    def build_control(self, names, index, shape) -> Control:
        """Own keys, and by the shape's number: controllers, guardians, commitments."""
        others = tuple(sorted({self.pick(index), self.pick(index + 1)}))
        control = control_of(*names, threshold=len(names))
        if shape == 1:
            return replace(control, controllers=Controllers(others, 1))
        if shape == 2:
            return replace(control, guardians=Guardians(others, 2))
        if shape == 3:
            return replace(control, next_keys=commit("c"), recovery_keys=commit("d"))
        return control

    def attempt(self, did: Did, call, signers) -> None:
        """A refused operation changes nothing of any identity; one that succeeds had authority and made one version."""
        before = self.list_records()
        may = self.may_rule(did, signers)
        receipt = self.scene.send(call)
        if call.call in ("request_recovery", "object_to_recovery"):
            event(f"{call.call}: {get_reason(receipt.reason)}")
        if receipt.reason:
            assert self.list_records() == before
            assert receipt.events == ()
            return
        record = get_did_record(self.scene.state, did)
        assert record is not None
        if call.call == "request_recovery":
            changed = {key[0] for key, value in self.list_records().items() if before.get(key) != value}
            assert changed == {Table.DID_RECOVERY}, "until it is completed"
            return
        assert did not in self.ended
        self.ids.setdefault(did, []).append(record.current.version_id)
        if call.call in ("update", "rotate", "transfer", "deactivate", "link_account", "unlink_account"):
            assert may, (call, signers)
        if record.is_deactivated:
            self.ended.add(did)

    def may_rule(self, did: Did, signers, seen=()) -> bool:
        """The authority of an identity, found out another way: does it agree when these sign?"""
        record = get_did_record(self.scene.state, did)
        if record is None or record.is_deactivated or did in seen or len(seen) > 3:
            return False
        content = record.current.content
        if content.owner is not None:
            return self.may_rule(content.owner, signers, (*seen, did))
        rulers = content.control.controllers
        if rulers is not None:
            return sum(self.may_rule(each, signers, (*seen, did)) for each in rulers.dids) >= rulers.threshold
        policy = content.control.keys.policy
        assert policy is not None
        mine = {key_of(name).public_key for signer, name in signers if signer == did}
        return sum(each.weight for each in policy.keys if each.public_key in mine) >= policy.threshold

    def list_rulers(self, did: Did, seen=()) -> list[tuple[Did, str]]:
        """Signatures that suffice to act for an identity, when any do."""
        content = self.scene.get(did).current.content
        if did in seen or len(seen) > 3:
            return []
        if content.owner is not None:
            return self.list_rulers(content.owner, (*seen, did))
        if content.control.controllers is not None:
            dids = content.control.controllers.dids
            return list(dict.fromkeys(signer for each in dids for signer in self.list_rulers(each, (*seen, did))))
        return self.list_own(did, content.control.keys.policy)

    def list_own(self, did: Did, policy) -> list[tuple[Did, str]]:
        return [(did, name) for name in NAMES if any(each.public_key == KEYS[name] for each in policy.keys)]

    def choose(self, did: Did, signers, *, honest: bool) -> list[tuple[Did, str]]:
        """Those who rule, or whoever the example names."""
        return self.list_rulers(did)[:16] if honest else self.name_signers(signers)

    def list_records(self):
        return {key: value for key, value in self.scene.state.changes.items() if 80 <= key[0] <= 84 and value}

    def name_signers(self, signers):
        return [(self.pick(index), name) for index, name in signers]

    @rule(name=NAME, owner=st.integers(0, 7), signers=SIGNERS, kind=st.sampled_from(DidKind), salt=st.integers(0, 2))
    def create(self, name, owner, signers, kind, salt):
        if len(self.dids) >= 8:
            return
        owned = kind in (DidKind.VEHICLE, DidKind.DEVICE)
        named = [name, *(self.list_rulers(self.pick(owner)) or self.name_signers(signers))]
        control = control_of(name)
        owner_did = self.pick(owner) if owned else None
        did, call = build_create(control, *(named if owned else [name]), kind=kind, owner=owner_did, salt=bytes([salt]))
        receipt = self.scene.send(call)
        if receipt.reason == 0:
            assert did not in self.dids
            self.dids.append(did)
            self.ids[did] = [self.scene.version_of(did)]

    @rule(honest=HONEST, index=st.integers(0, 7), signers=SIGNERS, services=st.integers(0, 2))
    def update(self, honest, index, signers, services):
        did = self.pick(index)
        named = self.choose(did, signers, honest=honest)
        new = [Service(f"s{number}", "Web", "https://example.com/") for number in range(services)]
        self.attempt(did, build_call(self.scene.update(did, *new), *named), named)

    @rule(
        index=st.integers(0, 7),
        signers=SIGNERS,
        names=st.lists(NAME, min_size=1, max_size=2, unique=True),
        other=st.integers(0, 7),
        shape=st.sampled_from([0, 1, 2, 2, 3]),
        operation=st.sampled_from(["rotate", "recover", "request_recovery"]),
        honest=HONEST,
    )
    def change_control(self, index, signers, names, other, shape, operation, honest):
        did = self.pick(index)
        content = self.scene.get(did).current.content
        if operation == "recover" and content.control.recovery_keys is not None:
            names = ["d"]
        elif content.control.next_keys is not None:
            names = ["c"]
        control = self.build_control(names, other, shape)
        named = self.name_signers(signers)
        if honest:
            parties = [did] if operation == "rotate" else []
            if operation == "request_recovery" and content.control.guardians is not None:
                parties = list(content.control.guardians.dids)
            if control.controllers is not None:
                parties += control.controllers.dids
            agreeing = [signer for each in parties for signer in self.list_rulers(each)]
            named = list(dict.fromkeys([*agreeing, *((did, name) for name in names)]))[:16]
        self.attempt(did, build_call(self.scene.control(did, control), *named, name=operation), named)

    @rule(honest=HONEST, index=st.integers(0, 7), owner=st.integers(0, 7), signers=SIGNERS)
    def transfer(self, honest, index, owner, signers):
        did = self.pick(index)
        named = self.choose(did, signers, honest=honest)
        if honest:
            named = list(dict.fromkeys([*named, *self.list_rulers(self.pick(owner))]))[:16]
        if named:
            self.attempt(did, build_call(self.scene.transfer(did, self.pick(owner)), *named), named)

    @rule(
        honest=HONEST,
        index=st.integers(0, 7),
        signers=SIGNERS,
        reveals=st.booleans(),
        really=st.sampled_from([False, False, False, True]),
    )
    def deactivate(self, honest, index, signers, reveals, really):
        did = self.pick(index)
        if not really:
            return
        named = self.choose(did, signers, honest=honest)
        if honest and self.scene.get(did).current.content.control.next_keys is not None:
            reveals, named = True, list(dict.fromkeys([*named, (did, "c")]))
        self.attempt(did, build_call(self.scene.deactivate(did, policy_of("c") if reveals else None), *named), named)

    @rule(honest=HONEST, index=st.integers(0, 7), signers=SIGNERS, account=NAME)
    def link(self, honest, index, signers, account):
        did = self.pick(index)
        named = self.choose(did, signers, honest=honest)
        self.attempt(did, build_call(self.scene.link(did, address_of(key_of(account))), *named), named)

    @rule(
        honest=HONEST,
        index=st.integers(0, 7),
        signers=SIGNERS,
        name=st.sampled_from(["unlink_account", "object_to_recovery"]),
    )
    def undo(self, honest, index, signers, name):
        did = self.pick(index)
        waiting = self.list_waiting()
        if name == "object_to_recovery" and waiting:
            did = waiting[index % len(waiting)]
        named = self.choose(did, signers, honest=honest)
        self.attempt(did, build_call(self.scene.on_version(did), *named, name=name), named)

    @rule(index=st.integers(0, 7), name=NAME)
    def ask_guardians(self, index, name):
        """Those of a guarded identity, when there is one: others take too many steps to get so far."""
        guarded = [did for did in self.dids if self.scene.get(did).current.content.control.guardians is not None]
        if not guarded:
            return
        did = guarded[index % len(guarded)]
        guardians = self.scene.get(did).current.content.control.guardians
        named = [*(signer for each in guardians.dids for signer in self.list_rulers(each)), (did, name)]
        named = list(dict.fromkeys(named))[:16]
        payload = self.scene.control(did, control_of(name))
        self.attempt(did, build_call(payload, *named, name="request_recovery"), named)

    def list_waiting(self) -> list[Did]:
        """Identities with a recovery that waits."""
        return [did for did in self.dids if get_recovery(self.scene.state, did) is not None]

    @rule(index=st.integers(0, 7), blocks=st.integers(0, 20), is_about_waiting=HONEST)
    def complete(self, index, blocks, is_about_waiting):
        waiting = self.list_waiting()
        did = waiting[index % len(waiting)] if waiting and is_about_waiting else self.pick(index)
        self.scene.height += blocks
        recovery = get_recovery(self.scene.state, did)
        height = self.scene.height
        receipt = self.scene.send(Call("did", "complete_recovery", [did]))
        event(f"complete_recovery: {get_reason(receipt.reason)}")
        if receipt.reason == 0:
            assert recovery is not None
            assert height >= recovery.due_height
            assert self.ids[did][-1] == recovery.previous
            self.ids[did].append(self.scene.version_of(did))

    @invariant()
    def versions_chain_without_a_gap(self):
        for did, ids in self.ids.items():
            record = self.scene.get(did)
            assert record.current.number == len(ids)
            times = []
            for number, version_id in enumerate(ids, start=1):
                version = get_did_version(self.scene.state, did, number)
                assert version is not None
                assert version == find_did_version(self.scene.state, did, version_id)
                assert (version.number, version.version_id) == (number, version_id)
                assert (version.operation is DidOperation.CREATE) == (number == 1)
                times.append(version.time_ms)
            assert times == sorted(times)
            assert times[0] == record.created_ms

    @invariant()
    def what_has_ended_stays_so(self):
        for did in self.dids:
            record = self.scene.get(did)
            assert record.is_deactivated == (did in self.ended)
            if record.is_deactivated:
                assert record.account is None
                assert get_recovery(self.scene.state, did) is None

    @invariant()
    def links_are_one_to_one(self):
        accounts = {did: self.scene.get(did).account for did in self.dids}
        linked = {account: did for did, account in accounts.items() if account is not None}
        assert {address: get_account_did(self.scene.state, address) for address in ACCOUNTS} == {
            address: linked.get(address) for address in ACCOUNTS
        }

    @invariant()
    def a_recovery_waits_for_the_present_version_only(self):
        for did in self.dids:
            recovery = get_recovery(self.scene.state, did)
            assert recovery is None or recovery.previous == self.ids[did][-1]

    @invariant()
    def every_record_has_its_one_byte_form(self):
        for key, value in self.list_records().items():
            if key[0] == Table.DID:
                decode(DidRecord, value)
            elif key[0] == Table.DID_VERSION:
                decode(DidVersion, value)


DidMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_identities = DidMachine.TestCase
