"""`carlive distribution`: a root is built and checked, its proofs are claimed with, and a source is shown."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from economy.distribution_challenge import find_challenge
from economy.distribution_manifest import read_manifest
from economy.distribution_shards import build_leaf_proof
from identity.address import Address, NetworkKind, compute_key_address, format_address
from identity.did import Did, format_did, parse_did
from identity.keys import PrivateKey, PublicKey, verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import encode, to_plain
from ledger.primitives import Grains, Height, RootHash, TimeMs
from node.cli.accounts import find_development_account
from node.cli.did_signing import read_payload
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.cli.signing import ChainFacts
from rpc.arguments import describe_type, to_json
from tests.builders import address_of, make_key
from tests.did_scene import build_create, control_of
from tests.distribution_scene import OWNER, DistributionScene, distribute
from tests.economy.records import add_up, beneficiary, draw_rows, key_of, write_records
from tests.economy.test_distribution_challenge import KEYS, LIFETIMES, SHARD, chain, publish, with_leaves
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import CHAIN_ID, DOMAIN
from vm.native.distribution import Claim, PayoutPayload, PostRoot, RootPayload, SetPayout, VoidPayload, VoidRoot
from vm.native.distribution_records import (
    ManifestHash,
    PostedRoot,
    SourceId,
    SourceRules,
    get_source,
    put_root,
    put_source,
    set_source_rules,
)
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind
from vm.native.governance import (
    Priority,
    ProposeRootVoid,
    ProposeSource,
    ProposeSourceResume,
    ProposeSourceRules,
    Terms,
)

ROWS = draw_rows("cli", 50, 120)
ACCOUNT = format_address(Address(beneficiary(0)[1:]), NetworkKind.DEVNET)
PERSON = format_did(Did(beneficiary(1)[1:]), NetworkKind.DEVNET)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["distribution", *arguments])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of records, and the directory of its build."""
    home = tmp_path_factory.mktemp("built")
    records = write_records(home / "records", ROWS)
    result = run("build", "--records", str(records), "--out", str(home / "out"), "--output", "json")
    assert result.exit_code == 0, result.output
    expected = distribute(add_up(ROWS))
    _, manifest_hash = read_manifest(home / "out")
    assert json.loads(result.stdout) == {
        "root": f"0x{expected.root.hex()}",
        "lifetimeTotal": str(expected.total_grains),
        "manifestHash": f"0x{manifest_hash.hex()}",
        "beneficiaries": len(add_up(ROWS)),
        "records": len(ROWS),
        "directory": str(home / "out"),
    }
    return records, home / "out"


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield scene


def test_a_shard_is_verified_and_a_difference_fails(built: tuple[Path, Path], tmp_path: Path) -> None:
    records, out = built
    result = run("verify", "--records", str(records), "--in", str(out), "--shard", "3", "--output", "json")
    manifest, _ = read_manifest(out)
    shown = json.loads(result.stdout)
    assert shown["root"] == f"0x{manifest.shards[3].root.hex()}"
    other = write_records(tmp_path / "other", ROWS[1:])
    failed = run("verify", "--records", str(other), "--in", str(out), "--shard", "3")
    assert (failed.exit_code, "not the inputs of the manifest" in failed.output) == (ExitCode.WRONG_USE, True)


@pytest.mark.parametrize("size", ["much", "2", "1MB", "80%"])
def test_what_is_no_size_of_memory_is_refused(built: tuple[Path, Path], tmp_path: Path, size: str) -> None:
    result = run("build", "--records", str(built[0]), "--out", str(tmp_path / "out"), "--memory-limit", size)
    assert (result.exit_code, "is no size" in result.output) == (ExitCode.WRONG_USE, True)


def test_a_proof_is_shown(built: tuple[Path, Path]) -> None:
    result = run("proof", ACCOUNT, "--in", str(built[1]), "--output", "json")
    shown = json.loads(result.stdout)
    expected = distribute(add_up(ROWS)).prove_key(key_of(beneficiary(0)))
    assert shown["leaf"]["lifetimeGrains"] == str(expected.leaf.lifetime_grains)
    assert shown["shard"]["path"] == [f"0x{each.hex()}" for each in expected.shard.path]


@pytest.mark.parametrize("text", ["did:iov:devnet:1", "iovd1abc", "alice"])
def test_who_is_no_beneficiary_has_no_proof(built: tuple[Path, Path], text: str) -> None:
    result = run("proof", text, "--in", str(built[1]))
    assert (result.exit_code, "is neither an address nor a DID" in result.output) == (ExitCode.WRONG_USE, True)


async def test_a_claim_signs_the_proofs(node: CliScene, built: tuple[Path, Path]) -> None:
    _, out = built
    signed = await node.sign("distribution", "claim", "7", ACCOUNT, PERSON, "--in", str(out), "--number", "2")
    manifest, _ = read_manifest(out)
    proven = [
        build_leaf_proof(out, manifest, BeneficiaryKind(each[0]), BeneficiaryId(each[1:]))
        for each in (beneficiary(0), beneficiary(1))
    ]
    assert signed == Claim(7, 2, tuple(proven))


def dev_key(name: str) -> PrivateKey:
    account = find_development_account(name)
    assert account is not None
    return account.key


@dataclass
class Attested:
    """A node with a source whose attesters' keys are dev keys."""

    node: CliScene
    scene: DistributionScene
    ann: str
    bob: str


@pytest.fixture
def attested(node: CliScene) -> Attested:
    scene = DistributionScene()
    dids = {}
    for key in (dev_key("dev1"), dev_key("dev2")):
        did, _ = build_create(control_of(key))
        scene.accept(build_create(control_of(key), (did, key))[1])
        dids[key] = did
    rules = scene.rules(attesters=tuple(sorted(dids.values())), threshold=2)
    set_source_rules(scene.state, scene.source, rules)
    node.scene.state = scene.state
    return Attested(node, scene, *(format_did(did, NetworkKind.DEVNET) for did in dids.values()))


def check_signatures(purpose: SigningPurpose, signed: PostRoot | VoidRoot | SetPayout) -> None:
    message = signing_bytes(purpose, DOMAIN, encode(signed.payload))
    for each in signed.signatures:
        assert verify_signature(PublicKey(each.key_type, each.key), message, each.signature)


async def test_attesters_post_what_was_built(attested: Attested, built: tuple[Path, Path]) -> None:
    keys = ("--as", attested.ann, "--by", "dev1", "--by", f"{attested.bob}=dev2")
    signed = await attested.node.sign("distribution", "post", "1", "--in", str(built[1]), *keys)
    manifest, manifest_hash = read_manifest(built[1])
    total = manifest.lifetime_total_grains
    assert signed.payload == RootPayload(SourceId(1), 1, manifest.root, Grains(total), manifest_hash)
    assert signed.shards == manifest.list_shards()
    assert len(signed.signatures) == 2
    check_signatures(SigningPurpose.DISTRIBUTION_ROOT, signed)


def put_standing_root(attested: Attested, latest: int, manifest_hash: bytes) -> None:
    """Of two roots that were posted one is the newest that is not void."""
    scene = attested.scene
    root = PostedRoot(
        RootHash(bytes(32)), Grains(5), ManifestHash(manifest_hash), 0, TimeMs(0), TimeMs(1), Height(1), None
    )
    put_root(scene.state, scene.source, latest, root)
    put_source(scene.state, scene.source, replace(get_source(scene.state, scene.source), roots=2, latest=latest))


@pytest.mark.parametrize("latest", [1, 2])
async def test_the_next_root_is_built_on_the_newest_that_is_not_void(
    attested: Attested, built: tuple[Path, Path], tmp_path: Path, latest: int
) -> None:
    _, first_hash = read_manifest(built[1])
    put_standing_root(attested, latest, first_hash)
    records, out = write_records(tmp_path / "records", ROWS[:5]), tmp_path / "next"
    command = ("build", "--records", str(records), "--previous", str(built[1]), "--out", str(out))
    assert run(*command).exit_code == 0
    keys = ("--as", attested.ann, "--by", "dev1", "--by", f"{attested.bob}=dev2")
    signed = await attested.node.sign("distribution", "post", "1", "--in", str(out), *keys)
    assert (signed.payload.number, signed.payload.root) == (3, read_manifest(out)[0].root)


async def test_a_root_that_does_not_follow_the_one_on_the_chain_is_not_signed(
    attested: Attested, built: tuple[Path, Path], tmp_path: Path
) -> None:
    """--previous was forgotten, is of another epoch, or is too much: nothing is written for anybody to sign."""
    _, first_hash = read_manifest(built[1])
    records, following = write_records(tmp_path / "records", ROWS[:5]), tmp_path / "next"
    command = ("build", "--records", str(records), "--previous", str(built[1]), "--out", str(following))
    assert run(*command).exit_code == 0
    other, file = b"b" * 32, tmp_path / "payload"

    async def refuse(out: Path, complaint: str) -> None:
        arguments = ("post", "1", "--in", str(out), "--as", attested.ann, "--payload-out", str(file), "--from", "dev0")
        result = await attested.node.run("distribution", *arguments)
        assert result.exit_code == ExitCode.FAILED
        assert complaint in result.output
        assert not file.exists()

    was, must = (
        f"was built with --previous of the manifest 0x{first_hash.hex()}",
        "the next root of source 1 must be built",
    )
    await refuse(following, f"{was}; {must} without --previous, because no root of it stands")
    put_standing_root(attested, 1, other)
    needed = f"{must} with --previous of root 1, whose manifest is 0x{other.hex()}"
    await refuse(built[1], f"was built without --previous; {needed}")
    await refuse(following, f"{was}; {needed}")


async def test_what_others_are_to_sign_is_saved_whole(
    attested: Attested, built: tuple[Path, Path], tmp_path: Path
) -> None:
    file = tmp_path / "payload"
    arguments = ("post", "1", "--in", str(built[1]), "--as", attested.ann, "--payload-out", str(file), "--from", "dev0")
    result = await attested.node.run("distribution", *arguments)
    assert result.exit_code == 0, result.output
    manifest, _ = read_manifest(built[1])
    facts = ChainFacts(NetworkKind.DEVNET, CHAIN_ID, DOMAIN)
    operation = read_payload(file, facts)
    assert (operation.payload.root, operation.more) == (manifest.root, (manifest.list_shards(),))


async def test_attesters_void_a_root(attested: Attested) -> None:
    root = PostedRoot(RootHash(bytes(32)), Grains(5), ManifestHash(bytes(32)), 0, TimeMs(0), TimeMs(1), Height(1), None)
    put_root(attested.scene.state, attested.scene.source, 1, root)
    signed = await attested.node.sign("distribution", "void", "1", "1", "--as", attested.ann, "--by", "dev1")
    assert signed.payload == VoidPayload(SourceId(1), 1, RootHash(bytes(32)))
    check_signatures(SigningPurpose.DISTRIBUTION_VOID, signed)
    missing = await attested.node.run(
        *("distribution", "void", "1", "2", "--as", attested.ann, "--by", "dev1", "--from", "dev0", "--yes")
    )
    assert missing.exit_code == ExitCode.FAILED


async def test_an_identity_says_where_it_is_paid(attested: Attested) -> None:
    signed = await attested.node.sign("distribution", "payout", attested.ann, "--account", "dev3", "--by", "dev1")
    account = compute_key_address(dev_key("dev3").public_key)
    did = parse_did(attested.ann, NetworkKind.DEVNET)
    assert signed.payload == PayoutPayload(did, 0, account)
    check_signatures(SigningPurpose.DISTRIBUTION_PAYOUT, signed)
    linked = await attested.node.sign("distribution", "payout", attested.ann, "--by", "dev1")
    assert linked.payload == PayoutPayload(did, 0, None)


async def test_a_source_is_shown(node: CliScene) -> None:
    scene = DistributionScene()
    built = scene.settle({(1, address_of(make_key("anne"))): 300})
    node.scene.state = scene.state
    shown = await node.run_json("distribution", "show", "1")
    assert {name: shown[name] for name in ("label", "owner", "fundedGrains", "promisedGrains", "latest")} == {
        "label": "mining",
        "owner": format_address(address_of(OWNER), NetworkKind.DEVNET),
        "fundedGrains": "10000",
        "promisedGrains": "300",
        "latest": 1,
    }
    assert shown["root"]["root"] == f"0x{built.root.hex()}"
    missing = await node.run("distribution", "show", "2")
    assert missing.exit_code == ExitCode.FAILED


async def test_sources_are_listed(node: CliScene) -> None:
    assert await node.run_json("distribution", "list") == []
    scene = DistributionScene()
    built = scene.settle({(1, address_of(make_key("anne"))): 300})
    scene.accept(scene.claim(built, (1, address_of(make_key("anne")))))
    node.scene.state = scene.state
    while len(node.backend.blocks) < scene.height:
        node.backend.make_block()
    row = {"source": 1, "label": "mining", "funded": "10000", "claimed": "300", "free": "9700"}
    assert await node.run_json("distribution", "list") == [row | {"claimableRoot": 1}]


async def test_sources_are_proposed(node: CliScene, tmp_path: Path) -> None:
    rules = DistributionScene().rules()
    path = tmp_path / "rules.json"
    shown = to_json(describe_type(SourceRules), to_plain(rules), NetworkKind.DEVNET)
    path.write_text(json.dumps(shown), encoding="utf-8")
    terms = Terms(Priority.NORMAL, 500, "Because")
    for arguments, expected in [
        (["source", str(path)], ProposeSource(rules, terms)),
        (["source-rules", "3", str(path)], ProposeSourceRules(SourceId(3), rules, terms)),
        (["source-resume", "3"], ProposeSourceResume(SourceId(3), terms)),
        (["root-void", "3", "2"], ProposeRootVoid(SourceId(3), 2, terms)),
    ]:
        signed = await node.sign("gov", "propose", *arguments, "--title", "Because", "--effective", "500")
        assert signed == expected


async def test_a_challenge_proves_what_is_wrong(node: CliScene, tmp_path: Path) -> None:
    scene = DistributionScene()
    scene.settle(LIFETIMES)
    scene.accept(scene.post(with_leaves(*chain(KEYS[:4], [10, 20, 29, 41]))))
    node.scene.state = scene.state
    before = publish(tmp_path / "before", distribute(LIFETIMES))
    wrong = publish(tmp_path / "wrong", with_leaves(*chain(KEYS[:4], [10, 20, 29, 41])))
    own = publish(tmp_path / "own", distribute(LIFETIMES | {KEYS[0]: 11}))
    signed = await node.sign("distribution", "challenge", "1", "2", "--in", str(wrong), "--previous", str(before))
    assert signed == find_challenge(SourceId(1), 2, wrong, before, [SHARD])
    sent = ("--from", "dev0", "--yes")
    unproven = ("distribution", "challenge", "1", "2", "--in", str(wrong))
    for arguments, complaint in [
        ((*unproven,), "nothing is wrong with this root that the chain can be shown"),
        ((*unproven, "--own", str(own)), "10 grains, and 11 by your build"),
        ((*unproven, "--previous", str(own)), "the root before is 0x"),
        (("distribution", "challenge", "1", "2", "--in", str(before)), "the root on the chain is 0x"),
        (("distribution", "challenge", "1", "1", "--in", str(before), "--previous", str(before)), "no root before"),
        (("distribution", "challenge", "1", "3", "--in", str(before)), "source 1 has no root 3"),
    ]:
        result = await node.run(*arguments, *sent)
        assert (result.exit_code != 0, complaint in result.output) == (True, True), result.output
