"""What identities do, drawn from a seed: they begin, change hands and end, ask and answer, bind vehicles and accounts.

`IdentityTraffic` looks at a state and draws the next call; most are right, the rest are signed by a wrong key, for a
version or turn that has passed, or by somebody who has no say. `found_identities` writes those who are there from the
start, because governance takes longer to recognise somebody than a simulation lasts.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from identity.address import Address
from identity.did import Did, compute_did
from identity.keys import PrivateKey, PublicKey
from identity.platform_account import get_claim_private_key
from identity.policy import build_policy
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.codec import encode, to_plain
from ledger.merkle import build_proof
from ledger.primitives import Height, RootHash, Signature
from ledger.state import State, StateReader
from ledger.transaction import Call
from tests.attribute_scene import ANSWER_KEY, PURPOSE, build_answer, build_attribute_call
from tests.builders import block_context, make_key
from tests.did_scene import build_call, sign
from tests.platform_scene import ACCOUNTS as PLATFORM_ACCOUNTS
from tests.platform_scene import CLAIM_KEYS, LEAVES, ROOT, SECRETS
from vm.context import Context
from vm.gas import GasMeter
from vm.native import platforms, roles
from vm.native.attribute_payloads import (
    ApprovalPayload,
    RequestIdPayload,
    RequestPayload,
    Tag,
    TagForm,
    TagPayload,
    TagRemovalPayload,
)
from vm.native.attribute_records import get_attribute_record, iterate_received, list_waiting
from vm.native.did_operations import Create
from vm.native.did_payloads import (
    ControlPayload,
    CreatePayload,
    DeactivatePayload,
    LinkPayload,
    TransferPayload,
    UpdatePayload,
    VersionPayload,
)
from vm.native.did_records import (
    OWNED_KINDS,
    Control,
    DidContent,
    DidKeys,
    DidKind,
    DidOperation,
    DidRecord,
    Guardians,
    Service,
    compute_version_id,
    get_did_record,
    get_recovery,
    put_first_version,
    put_next_version,
)
from vm.native.platforms import ClaimPayload, MigrationPayload, UnbindingPayload, get_link, get_migration
from vm.native.recognition import Recognition, put_recognised
from vm.native.role_records import ISSUERS, Grant, Role, get_role_record, put_grant
from vm.native.roles import EndPayload
from vm.native.vehicle_records import (
    AccessScope,
    BindingPayload,
    GrantPayload,
    RevocationPayload,
    VinPayload,
    VinWithdrawalPayload,
    get_binding,
    get_vehicle,
)

KEYS = 8
"""Keys that identities have; several may have the same one."""
NUMBERS = 3
"""Vehicle identification numbers, fewer than vehicles: they are fought over."""
IDENTITIES_MAX = 20
"""Those that are known: few enough to meet again and again. Ended ones make room."""
MISTAKES = 8
"""One of so many signatures is another key's, and one of so many operations is for what has passed."""
ISSUING_ACCOUNT = 4
PERSONS_ACCOUNTS = (5, 6)
"""Numbers of the accounts that act for the issuer, and for the first persons, who have a free quota."""
FAR = Height(1_000_000)


@cache
def get_identity_secret(number: int) -> PrivateKey:
    """A key that identities may have."""
    return make_key(f"identity key {number}")


@cache
def find_secret(key: PublicKey) -> PrivateKey:
    """The same by its public part."""
    return next(each for each in map(get_identity_secret, range(KEYS)) if each.public_key == key)


def build_control(key: int, guardians: Guardians | None = None) -> Control:
    """One key of one's own."""
    policy = build_policy([(get_identity_secret(key).public_key, 1)], 1)
    return Control(DidKeys(policy, ()), None, None, None, guardians)


# Who is there from the start


@dataclass(frozen=True, slots=True)
class Founder:
    """An identity of the first state."""

    did: Did
    content: DidContent
    account: int | None
    """Number of the account that acts for it."""


def make_founder(
    key: int, kind: DidKind, owner: Did | None = None, account: int | None = None, salt: bytes = b"founder"
) -> Founder:
    """An identity with one key, of its own or of its owner; another salt makes another identity of the same key."""
    payload = CreatePayload(kind, owner, build_control(key), (), salt)
    return Founder(compute_did(encode(payload)), DidContent(kind, owner, payload.control, ()), account)


MAKER = make_founder(0, DidKind.ORGANISATION)
SHOP = make_founder(1, DidKind.ORGANISATION)
ISSUER = make_founder(2, DidKind.ORGANISATION, account=ISSUING_ACCOUNT)
PERSONS = tuple(
    make_founder(3 + index, DidKind.PERSON, account=account) for index, account in enumerate(PERSONS_ACCOUNTS)
)
CARS = tuple(make_founder(key, DidKind.VEHICLE, PERSONS[0].did) for key in (5, 6))
FOUNDERS = (MAKER, SHOP, ISSUER, *PERSONS, *CARS)
INSTITUTIONS = (MAKER.did, SHOP.did, ISSUER.did)
"""Those whom others depend on keep their keys."""


def found_identities(state: State, accounts: Sequence[Address], height: int = 0) -> None:
    """Write the founders, what they are recognised for, the roles they have, and the accounts that act for them."""
    context = make_founding_context(accounts[0], height)
    for founder in FOUNDERS:
        put_founder(state, context, founder, accounts)
    put_recognised(state, Recognition.VIN_ATTESTER, MAKER.did)
    put_recognised(state, Recognition.PLATFORM, SHOP.did)
    for recognition in ISSUERS.values():
        put_recognised(state, recognition, ISSUER.did)
    for person in PERSONS:
        put_grant(state, person.did, Role.PERSON, Grant(FAR, None), height)


def make_founding_context(account: Address, height: int) -> Context:
    """In which identities are written that nobody has signed for."""
    return Context(block_context(height), account, account, bytes(32), GasMeter(10**9, 0))  # type: ignore[arg-type]


def put_founder(state: State, context: Context, founder: Founder, accounts: Sequence[Address]) -> None:
    """Write an identity, and that its account acts for it."""
    version_id = compute_version_id(DidOperation.CREATE, founder.did)
    put_first_version(state, context, founder.did, founder.content, version_id)
    if founder.account is not None:
        record = get_did_record(state, founder.did)
        assert record is not None, "just written"
        operation, account = DidOperation.LINK_ACCOUNT, accounts[founder.account]
        put_next_version(state, context, founder.did, record, operation, account, founder.content, account=account)


# What they do


@dataclass(frozen=True, slots=True)
class Wish:
    """A call that somebody wants to be made."""

    call: Call
    account: int | None = None
    """Number of the account that has to send it; None: any."""
    mistake: str | None = None
    """What is wrong with it on purpose, where a test asks for that; None: nothing, or nobody keeps account of it."""


def list_signers(find: Callable[[Did], DidRecord | None], did: Did) -> list[tuple[Did, PrivateKey]]:
    """Whose signatures amount to the authority over an identity; somebody's, if it is not there."""
    record = find(did)
    if record is None:
        return [(did, get_identity_secret(0))]
    owner = record.current.content.owner
    return list_own_signers(find, did) if owner is None else list_signers(find, owner)


def list_own_signers(find: Callable[[Did], DidRecord | None], did: Did) -> list[tuple[Did, PrivateKey]]:
    """The keys that an identity has itself."""
    record = find(did)
    policy = None if record is None else record.current.content.control.keys.policy
    return [] if policy is None else [(did, find_secret(each.public_key)) for each in policy.keys]


def err(random: Random, signers: Iterable[tuple[Did, PrivateKey]]) -> list[tuple[Did, Any]]:
    """Mostly those who have the say, each once."""
    signing = list(dict.fromkeys(signers))
    if random.randrange(MISTAKES) == 0:
        signing[-1] = (signing[-1][0], get_identity_secret(random.randrange(KEYS)))
    return list(dict.fromkeys(signing))


class IdentityTraffic:
    """Draws calls that fit a state, or nearly."""

    def __init__(self, random: Random, domain: SigningDomain, accounts: Sequence[Address]) -> None:
        self._random = random
        self._domain = domain
        self._accounts = accounts
        self._dids = [founder.did for founder in FOUNDERS]
        self._state: StateReader
        self._height = 0
        self._records: dict[Did, DidRecord | None] = {}
        self._makers: tuple[Callable[[], Call | Wish | None], ...] = (
            *[self._create] * 2,
            self._update,
            self._rotate,
            self._transfer,
            self._deactivate,
            *[self._link] * 2,
            *[self._recover] * 2,
            *[self._set_tag] * 2,
            *[self._request] * 4,
            *[self._answer] * 3,
            self._withdraw,
            *[self._number_vehicle] * 2,
            *[self._bind_vehicle] * 2,
            *[self._share_vehicle] * 2,
            *[self._bind_account] * 3,
            self._migrate,
            self._claim,
            *[self._grant_role] * 3,
            self._end_role,
        )

    def draw(self, state: StateReader, height: int) -> Wish:
        """What somebody asks for who sees this state, and that the next block has this height."""
        self._state, self._height = state, height
        self._records.clear()
        while True:
            made = self._random.choice(self._makers)()
            if made is not None:
                return made if isinstance(made, Wish) else Wish(made)

    # Identities

    def _create(self) -> Call | None:
        draw = self._random
        if len(self._dids) >= IDENTITIES_MAX:
            ended = [
                did for did in self._dids if not self._is_active(did) and get_vehicle(self._state, did).vin is None
            ]
            if not ended:
                return None
            self._dids.remove(self._random.choice(ended))
        kind = draw.choice((DidKind.PERSON, DidKind.PERSON, DidKind.ORGANISATION, DidKind.VEHICLE, DidKind.DEVICE))
        owner = self._choose(DidKind.PERSON) if kind in OWNED_KINDS else None
        key = draw.randrange(KEYS)
        control = build_control(key, None if owner is not None else self._draw_guardians())
        payload = CreatePayload(kind, owner, control, (), draw.randbytes(2))
        did = compute_did(encode(payload))
        signers = [(did, get_identity_secret(key)), *([] if owner is None else self._list_signers(owner))]
        signatures = sign(SigningPurpose.DID_CREATE, payload, self._err(signers), self._domain)
        self._dids.append(did)
        return Call("did", "create", to_plain(Create(payload, signatures)))

    def _update(self) -> Call:
        did = self._choose()
        services = tuple(
            Service(f"s{index}", "Web", "https://example.com/") for index in range(self._random.randrange(3))
        )
        return self._change(UpdatePayload(did, self._get_version(did), services), did)

    def _rotate(self) -> Call | None:
        did, key = self._choose(), self._random.randrange(KEYS)
        if did in INSTITUTIONS:
            return None
        record = self._find(did)
        is_owned = record is not None and record.current.content.owner is not None
        control = build_control(key, None if is_owned else self._draw_guardians())
        payload = ControlPayload(did, self._get_version(did), control)
        new = (did, get_identity_secret(key))
        return self._sign_change(payload, [*self._list_signers(did), new], "rotate")

    def _transfer(self) -> Call:
        did, owner = self._choose(DidKind.VEHICLE), self._choose(DidKind.PERSON)
        return self._change(TransferPayload(did, self._get_version(did), owner), did, owner)

    def _deactivate(self) -> Call | None:
        did = self._choose(self._random.choice((None, DidKind.VEHICLE)))
        if did in INSTITUTIONS or self._random.randrange(2):
            return None
        return self._change(DeactivatePayload(did, self._get_version(did), None), did)

    def _link(self) -> Call | Wish | None:
        """An account for somebody who has none, which sends it; now and then the end of a link."""
        did, account = self._choose(), self._random.randrange(len(self._accounts))
        record = self._find(did)
        if record is not None and record.account is not None:
            if did in INSTITUTIONS or self._random.randrange(4):
                return None
            return self._sign_change(
                VersionPayload(did, self._get_version(did)), self._list_signers(did), "unlink_account"
            )
        payload = LinkPayload(did, self._get_version(did), self._accounts[account])
        return Wish(self._change(payload, did), account)

    def _recover(self) -> Call | None:
        """Guardians ask; then the holder objects, or somebody completes it."""
        waiting = [did for did in self._dids if get_recovery(self._state, did) is not None]
        if waiting and self._random.randrange(3):
            did = self._random.choice(waiting)
            if self._random.randrange(3):
                return Call("did", "complete_recovery", [did])
            payload = VersionPayload(did, self._get_version(did))
            return self._sign_change(payload, self._list_signers(did), "object_to_recovery")
        guarded = [did for did in self._dids if self._is_active(did) and self._get_guardians(did) is not None]
        if not guarded:
            return None
        did = self._random.choice(guarded)
        guardians = self._get_guardians(did)
        assert guardians is not None, "chosen for that"
        key = self._random.randrange(KEYS)
        signers = [signer for each in guardians.dids for signer in self._list_signers(each)]
        change = ControlPayload(did, self._get_version(did), build_control(key))
        return self._sign_change(change, [*signers, (did, get_identity_secret(key))], "request_recovery")

    def _change(self, payload: Any, *signing: Did) -> Call:
        return self._sign_change(payload, [signer for did in signing for signer in self._list_signers(did)])

    def _sign_change(self, payload: Any, signers: Sequence[tuple[Did, PrivateKey]], name: str | None = None) -> Call:
        return build_call(payload, *self._err(signers), name=name, domain=self._domain)

    # Attributes

    def _set_tag(self) -> Call:
        did = self._choose()
        sequence, name = self._get_sequence(did), self._random.choice(("city", "club"))
        if self._random.randrange(3) == 0:
            return self._sign_attributes("remove_tag", TagRemovalPayload(did, sequence, name))
        tag = Tag(name, TagForm.PLAIN, self._random.choice((b"Paris", b"Rome", b"\xff")), None)
        return self._sign_attributes("set_tag", TagPayload(did, sequence, tag))

    def _request(self) -> Call:
        verifier, holder = self._choose(), self._choose(DidKind.PERSON)
        names = self._random.choice((("adult",), ("born", "city"), ("city", "born")))
        expiry_height = Height(self._height + self._random.choice((-1, 2, 12, 300, 300)))
        sequence = self._get_sequence(verifier)
        payload = RequestPayload(verifier, sequence, holder, names, PURPOSE, expiry_height, ANSWER_KEY)
        return self._sign_attributes("request", payload)

    def _answer(self) -> Call | None:
        """By the holder of something that waits."""
        since = self._height if self._random.randrange(MISTAKES) else 0
        waiting = [
            (did, each)
            for did in self._dids
            for each in list_waiting(get_attribute_record(self._state, did).open_received, since)
        ]
        if not waiting:
            return None
        holder, open_request = self._random.choice(waiting)
        if self._random.randrange(4) == 0:
            return self._sign_attributes("refuse", RequestIdPayload(holder, open_request.request_id))
        found = next(
            each.request
            for each in iterate_received(self._state, holder, 0, self._height)
            if each.request_id == open_request.request_id
        )
        names = found.payload.names[: self._random.choice((1, 2, 2, 2))]
        answers = tuple(build_answer(name) for name in names)
        return self._sign_attributes("approve", ApprovalPayload(holder, open_request.request_id, answers))

    def _withdraw(self) -> Call | None:
        received = [(did, each) for did in self._dids for each in iterate_received(self._state, did, 0, self._height)]
        if not received:
            return None
        holder, listed = self._random.choice(received)
        return self._sign_attributes("withdraw_consent", RequestIdPayload(holder, listed.request_id))

    def _sign_attributes(self, name: str, payload: Any) -> Call:
        signers = self._err(self._list_signers(payload.did))
        return build_attribute_call(name, payload, *signers, domain=self._domain)

    def _get_sequence(self, did: Did) -> int:
        return self._pass(get_attribute_record(self._state, did).sequence)

    # Vehicles

    def _number_vehicle(self) -> Call:
        ended = [
            did for did in self._dids if get_vehicle(self._state, did).vin is not None and not self._is_active(did)
        ]
        vehicle = self._random.choice(ended) if ended else self._choose(DidKind.VEHICLE)
        record = get_vehicle(self._state, vehicle)
        if record.vin is None:
            number = bytes([1 + self._random.randrange(NUMBERS)]) * 32
            attester = self._random.choice((MAKER.did,) * 5 + (SHOP.did,))
            payload = VinPayload(vehicle, attester, self._pass(record.turn), number, number)  # type: ignore[arg-type]
            return self._sign("vehicles", "attest_vin", payload, SigningPurpose.VIN_ATTESTATION, attester)
        if ended or self._random.randrange(3) == 0:
            return Call("vehicles", "release_vin", [vehicle])
        withdrawal = VinWithdrawalPayload(vehicle, self._pass(record.vin.turn))
        return self._sign("vehicles", "withdraw_vin", withdrawal, SigningPurpose.VIN_WITHDRAWAL, record.vin.attester)

    def _bind_vehicle(self) -> Call | None:
        vehicle = self._choose(DidKind.VEHICLE)
        identity, record = self._find(vehicle), get_vehicle(self._state, vehicle)
        if identity is None or (get_binding(record, identity) is not None and self._random.randrange(4)):
            return None
        payload = BindingPayload(vehicle, identity.ownership, self._pass(record.turn))
        signers = [*self._list_signers(vehicle), *list_own_signers(self._find, vehicle)]
        return self._sign_as("vehicles", "bind", payload, SigningPurpose.VEHICLE_BINDING, signers)

    def _share_vehicle(self) -> Call:
        vehicle, grantee = self._choose(DidKind.VEHICLE), self._choose()
        record = get_vehicle(self._state, vehicle)
        turn = self._pass(record.turn)
        if record.binding is not None and record.binding.grants and self._random.randrange(3) == 0:
            ended = RevocationPayload(vehicle, self._random.choice(record.binding.grants).grantee, turn)
            return self._sign("vehicles", "revoke_access", ended, SigningPurpose.VEHICLE_REVOCATION, vehicle)
        until_height = Height(self._height + self._random.choice((0, 3, 100)))
        scopes = (AccessScope.DIAGNOSTICS, AccessScope.DRIVING)
        payload = GrantPayload(vehicle, grantee, scopes, until_height, turn)
        return self._sign("vehicles", "grant_access", payload, SigningPurpose.VEHICLE_GRANT, vehicle)

    # Platforms

    def _bind_account(self) -> Call:
        person = self._choose(DidKind.PERSON)
        link = get_link(self._state, person, SHOP.did)
        turn = self._pass(link.turn)
        if link.account is not None:
            is_by_platform = self._random.randrange(2) == 0
            ended = UnbindingPayload(SHOP.did, person, is_by_platform, turn)
            signer = SHOP.did if is_by_platform else person
            return self._sign("platforms", "unbind", ended, SigningPurpose.PLATFORM_UNBINDING, signer)
        account = self._random.choice(PLATFORM_ACCOUNTS)
        payload = platforms.BindingPayload(SHOP.did, person, account, turn)
        return self._sign("platforms", "bind", payload, SigningPurpose.PLATFORM_BINDING, SHOP.did, person)

    def _migrate(self) -> Call | None:
        until_height = Height(self._height + self._random.choice((200, 3_000)))
        root = RootHash(self._random.choice((ROOT, ROOT, bytes(32))))
        if get_migration(self._state, SHOP.did, root) is not None and self._random.randrange(4):
            return None
        payload = MigrationPayload(SHOP.did, root, len(LEAVES), until_height)
        return self._sign("platforms", "post_migration", payload, SigningPurpose.PLATFORM_MIGRATION, SHOP.did)

    def _claim(self) -> Call:
        person, index = self._choose(DidKind.PERSON), self._random.randrange(len(LEAVES))
        payload = ClaimPayload(SHOP.did, RootHash(ROOT), person, PLATFORM_ACCOUNTS[index], CLAIM_KEYS[index])
        purpose = SigningPurpose.PLATFORM_CLAIM
        message = signing_bytes(purpose, self._domain, encode(payload))
        claim_signature = Signature(get_claim_private_key(SECRETS[index]).sign(message))
        signatures = sign(purpose, payload, self._err(self._list_signers(person)), self._domain)
        claim = platforms.Claim(payload, build_proof(LEAVES, index), claim_signature, signatures)
        return Call("platforms", "claim", to_plain(claim))

    # Roles

    def _grant_role(self) -> Wish:
        did, role = self._choose(DidKind.PERSON), self._random.choice((Role.PERSON, Role.ADVERTISER))
        record = get_role_record(self._state, did, role)
        number = self._pass(1 if record is None else record.number + 1)
        until_height = Height(self._height + self._random.choice((-1, 5, 100)))
        payload = roles.GrantPayload(ISSUER.did, did, role, number, until_height)
        call = self._sign("roles", "grant", payload, SigningPurpose.ROLE_GRANT, ISSUER.did)
        return Wish(call, ISSUING_ACCOUNT if self._random.randrange(MISTAKES) else None)

    def _end_role(self) -> Call | None:
        granted = [
            (did, role, record.number)
            for did in self._dids
            for role in (Role.PERSON, Role.ADVERTISER)
            if (record := get_role_record(self._state, did, role)) is not None
        ]
        if not granted:
            return None
        did, role, number = self._random.choice(granted)
        if did in (person.did for person in PERSONS) and self._random.randrange(4):
            return None
        payload = EndPayload(did, role, self._pass(number))
        if self._random.randrange(2):
            return self._sign("roles", "revoke", payload, SigningPurpose.ROLE_REVOKE, ISSUER.did)
        return self._sign("roles", "renounce", payload, SigningPurpose.ROLE_RENOUNCE, did)

    # Who signs

    def _sign(self, module: str, name: str, payload: Any, purpose: SigningPurpose, *signing: Did) -> Call:
        signers = [signer for did in signing for signer in self._list_signers(did)]
        return self._sign_as(module, name, payload, purpose, signers)

    def _sign_as(
        self, module: str, name: str, payload: Any, purpose: SigningPurpose, signers: Sequence[tuple[Did, PrivateKey]]
    ) -> Call:
        signatures = sign(purpose, payload, self._err(signers), self._domain)
        return Call(module, name, [to_plain(payload), to_plain(signatures)])

    def _list_signers(self, did: Did) -> list[tuple[Did, PrivateKey]]:
        return list_signers(self._find, did)

    def _err(self, signers: Iterable[tuple[Did, PrivateKey]]) -> Any:
        return err(self._random, signers)

    def _pass(self, number: int) -> int:
        """Mostly the present turn, sequence or number."""
        return number + (self._random.randrange(MISTAKES) == 0)

    # What the state says

    def _choose(self, kind: DidKind | None = None) -> Did:
        """An identity that was begun, mostly an active one of this kind."""
        candidates = [did for did in self._dids if self._is_active(did, kind)]
        if not candidates or self._random.randrange(3 * MISTAKES) == 0:
            candidates = self._dids
        return self._random.choice(candidates)

    def _is_active(self, did: Did, kind: DidKind | None = None) -> bool:
        record = self._find(did)
        return record is not None and not record.is_deactivated and kind in (None, record.current.content.kind)

    def _find(self, did: Did) -> DidRecord | None:
        if did not in self._records:
            self._records[did] = get_did_record(self._state, did)
        return self._records[did]

    def _get_guardians(self, did: Did) -> Guardians | None:
        record = self._find(did)
        return None if record is None else record.current.content.control.guardians

    def _get_version(self, did: Did) -> Any:
        """Mostly the present one."""
        record = self._find(did)
        if record is None or self._random.randrange(MISTAKES) == 0:
            return bytes(32)
        return record.current.version_id

    def _draw_guardians(self) -> Guardians | None:
        if self._random.randrange(2):
            return None
        return Guardians(tuple(sorted({MAKER.did, SHOP.did})), self._random.choice((1, 2)))
