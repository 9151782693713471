"""Everybody binds, claims and gives up in any order: accounts and persons are one to one after every step."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from identity.did import DID_BYTES, Did
from ledger.state_keys import Table
from tests.platform_scene import ACCOUNTS, PlatformScene
from vm.native.platforms import get_link

PERSON = st.integers(0, 1)
ACCOUNT = st.integers(0, len(ACCOUNTS) - 1)


class PlatformMachine(RuleBasedStateMachine):
    """The model is a dictionary of accounts to persons, and what was claimed."""

    @initialize()
    def begin(self):
        self.scene = PlatformScene()
        self.persons = [self.scene.alice, self.scene.bob]
        self.scene.accept(self.scene.post())
        self.owners: dict[bytes, Did] = {}
        self.claimed: set[bytes] = set()

    def is_free(self, account: int, person: Did) -> bool:
        return ACCOUNTS[account] not in self.owners and person not in self.owners.values()

    @rule(account=ACCOUNT, index=PERSON)
    def bind(self, account, index):
        person = self.persons[index]
        is_allowed = self.is_free(account, person)
        assert (self.scene.send(self.scene.bind(account, person=person)).reason == 0) is is_allowed
        if is_allowed:
            self.owners[ACCOUNTS[account]] = person

    @rule(account=ACCOUNT, index=PERSON)
    def claim(self, account, index):
        person = self.persons[index]
        is_allowed = self.is_free(account, person) and ACCOUNTS[account] not in self.claimed
        assert (self.scene.send(self.scene.claim(account, person=person)).reason == 0) is is_allowed
        if is_allowed:
            self.owners[ACCOUNTS[account]] = person
            self.claimed.add(ACCOUNTS[account])

    @rule(index=PERSON, is_by_platform=st.booleans())
    def unbind(self, index, is_by_platform):
        person = self.persons[index]
        signer = self.scene.shop if is_by_platform else person
        call = self.scene.unbind(signer, person=person, is_by_platform=is_by_platform)
        assert (self.scene.send(call).reason == 0) is (person in self.owners.values())
        self.owners = {account: each for account, each in self.owners.items() if each != person}

    @invariant()
    def both_directions_tell_the_same(self):
        prefix = bytes([Table.PLATFORM_ACCOUNT]) + self.scene.shop
        stored = self.scene.state.iterate_prefix(prefix)
        assert {key[1 + DID_BYTES :]: Did(person) for key, person in stored} == self.owners
        links = {each: get_link(self.scene.state, each, self.scene.shop).account for each in self.persons}
        assert {account: each for each, account in links.items() if account is not None} == self.owners


PlatformMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
TestPlatforms = PlatformMachine.TestCase
