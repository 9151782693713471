"""ads_ methods over a state with two campaigns and an order."""

from collections.abc import Iterator
from itertools import islice

import pytest

from identity.address import format_address
from identity.did import format_did
from ledger.state import State
from ledger.state_keys import ads_advertiser_key
from rpc.namespaces.ads import list_below
from rpc.session import Session
from tests.ads_scene import FIRST, HASH, START_MS, AdsScene
from tests.rpc.fake_backend import NETWORK, TIME_MS, FakeBackend
from tests.rpc.test_methods import Caller, _fail
from vm.native.accounts import DAY_MS
from vm.native.ads_records import DEFAULT_RULES, Counterparty, Counts, compute_order_id, compute_terms_hash, put_counts
from vm.native.role_records import Role


@pytest.fixture
def scene(backend: FakeBackend) -> AdsScene:
    """A campaign with an order that is paid, and a draft of somebody else."""
    scene = AdsScene()
    scene.run_campaign()
    scene.accept(scene.build_complete(scene.accept_order(offer=scene.live_offer()), 33))
    scene.accept(scene.build_open_channel())
    scene.grant("bob", Role.ADVERTISER)
    scene.do("bob", "create", scene.fixed_terms(1_000, 3, matcher=scene.dids["matcher"]))
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
    return scene


@pytest.fixture
def ask(session: Session) -> Caller:
    return Caller(session)


def _did(scene: AdsScene, name: str) -> str:
    return format_did(scene.dids[name], NETWORK)


async def test_a_campaign(ask: Caller, scene: AdsScene) -> None:
    campaign = (await ask("ads_campaign", id=1))["campaign"]
    is_over = TIME_MS >= START_MS + 10 * DAY_MS
    ended = START_MS + 10 * DAY_MS if is_over else None
    hexadecimal = "0x" + HASH.hex()
    assert campaign == {
        "id": 1,
        "advertiser": _did(scene, "advertiser"),
        "status": "ended" if is_over else "running",
        "reviewer": _did(scene, "reviewer"),
        "contentHash": hexadecimal,
        "metadataUri": "https://ads.example/1.json",
        "metadataHash": hexadecimal,
        "targeting": 'not user.age < 18 and place.city == "Guangzhou"',
        "targetingHash": campaign["targetingHash"],
        "startMs": START_MS,
        "endMs": START_MS + 10 * DAY_MS,
        "endedMs": ended,
        "settlesMs": None if ended is None else ended + DEFAULT_RULES.windows.grace_ms,
        "termsHash": "0x" + compute_terms_hash(scene.terms()).hex(),
        "dailyMax": "1000000000",
        "cap": 2,
        "items": [
            {"kind": "live_view", "priceMin": "100", "priceMax": "1000", "unitsMin": 2, "unitsMax": 60},
            {"kind": "click", "priceMin": "1001", "priceMax": "5000", "unitsMin": 1, "unitsMax": 1},
        ],
        "fixed": None,
        "split": {"userBps": 5_000, "publisherBps": 3_333, "platformBps": 1_667},
        "platform": format_address(scene.platform, NETWORK),
        "refund": format_address(scene.refund, NETWORK),
        "offerer": _did(scene, "advertiser"),
        "matcher": None,
        "source": None,
        "money": {
            "funded": "1000000",
            "deposit": "50000",
            "reserved": "0",
            "locked": "10000",
            "paid": "3300",
            "paidByChannels": "0",
            "forfeited": "0",
            "refunded": "0",
            "free": "936700",
        },
        "accepted": 1,
        "ordersOpen": 0,
        "persons": 1,
        "channels": 1,
        "channelsOpen": 1,
        "complaintsOpen": 0,
        "totals": [
            {"kind": "live_view", "completed": 1, "units": 33, "grains": "3300"},
            {"kind": "message_read", "completed": 0, "units": 0, "grains": "0"},
            {"kind": "fan_interaction", "completed": 0, "units": 0, "grains": "0"},
            {"kind": "click", "completed": 0, "units": 0, "grains": "0"},
        ],
    }
    draft = (await ask("ads_campaign", id=2))["campaign"]
    assert (draft["status"], draft["reviewer"], draft["settlesMs"]) == ("draft", None, None)
    assert (draft["fixed"], draft["matcher"]) == ({"total": "1000", "deliveries": 3}, _did(scene, "matcher"))


async def test_a_campaign_names_the_source_of_its_many_users(
    ask: Caller, scene: AdsScene, backend: FakeBackend
) -> None:
    campaign = scene.run_campaign(matcher=scene.dids["matcher"])
    signers = ("advertiser", "publisher")
    changes = {"campaign": campaign, "user": None, "counterparty": Counterparty.PUBLISHER}
    scene.accept(scene.build_open_channel(signers=signers, **changes))
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
    assert (await ask("ads_campaign", id=campaign))["campaign"]["source"] == 1


async def test_campaigns_come_page_by_page(ask: Caller, scene: AdsScene) -> None:
    page = await ask("ads_campaigns", limit=1)
    assert [each["id"] for each in page["campaigns"]] == [2]
    rest = await ask("ads_campaigns", limit=1, cursor=page["cursor"])
    assert ([each["id"] for each in rest["campaigns"]], rest["cursor"]) == ([1], None)
    for name, found in (("advertiser", [1]), ("bob", [2]), ("alice", [])):
        own = await ask("ads_campaigns", advertiser=_did(scene, name))
        assert ([each["id"] for each in own["campaigns"]], own["cursor"]) == (found, None)
    foreign = await _fail(ask, "ads_campaigns", advertiser=_did(scene, "bob"), cursor=page["cursor"])
    assert foreign == (-32602, "BAD_CURSOR")


def test_a_page_of_an_advertiser_begins_at_its_cursor(scene: AdsScene) -> None:
    advertiser, taken = scene.dids["advertiser"], []

    class Counting(State):
        def scan_range(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes | None]]:
            for pair in super().scan_range(start, stop):
                taken.append(pair)
                yield pair

    state = Counting(lambda key: None, lambda start, stop: iter(()))
    put_counts(state, Counts(301, 0))
    for number in range(1, 301, 3):
        state.put(ads_advertiser_key(advertiser, number), b"")
    assert list(islice(list_below(state, advertiser, 201), 3)) == [199, 196, 193]
    assert len(taken) == 3
    assert list(list_below(state, advertiser, 5)) == [4, 1]
    for before, count in ((0, 0), (2**63 - 1, 100)):
        assert len(list(list_below(state, advertiser, before))) == count


async def test_an_order_and_its_shares(ask: Caller, scene: AdsScene) -> None:
    order = compute_order_id(FIRST, scene.nullify("alice"))
    answer = await ask("ads_order", id="0x" + order.hex())
    assert {name: answer[name] for name in ("campaign", "user", "kind", "slot", "status", "units", "gross")} == {
        "campaign": FIRST,
        "user": _did(scene, "alice"),
        "kind": "live_view",
        "slot": 0,
        "status": "completed",
        "units": 33,
        "gross": "3300",
    }
    assert [answer[f"{who}Grains"] for who in ("user", "publisher", "platform")] == ["1651", "1099", "550"]
    assert (answer["price"], answer["reserved"], answer["publisher"]) == ("100", "6000", _did(scene, "publisher"))


async def test_a_settlement(ask: Caller, scene: AdsScene) -> None:
    answer = await ask("ads_settlement", id=1)
    money = {name: answer[name] for name in ("funded", "paid", "forfeited", "refunded", "left")}
    assert money == {"funded": "1000000", "paid": "3300", "forfeited": "0", "refunded": "0", "left": "996700"}
    assert (answer["channelsOpen"], answer["complaintsOpen"]) == (1, 0)


async def test_what_is_not_there_is_not_found(ask: Caller, scene: AdsScene) -> None:
    for method, identifier in (("ads_campaign", 3), ("ads_settlement", 3), ("ads_order", "0x" + HASH.hex())):
        assert await _fail(ask, method, id=identifier) == (-32001, "NOT_FOUND")
