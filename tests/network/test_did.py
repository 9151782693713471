"""Identities on real nodes: made at one, resolved at another, ended, and all nodes agree."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from identity.address import NetworkKind
from identity.did import Did, format_did
from ledger.transaction import Call
from tests.builders import Draft
from tests.did_scene import build_call, build_create, commit, control_of, policy_of
from tests.network.processes import CHAIN_ID, ProcessNetwork, running_network
from vm.native.did_payloads import ControlPayload, DeactivatePayload, TransferPayload
from vm.native.did_records import DidKind, VersionId

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("links")]


class Holder:
    """Sends operations from the first account of the network."""

    def __init__(self, network: ProcessNetwork) -> None:
        self.network = network
        self.sequence = 0

    async def send(self, index: int, call: Call) -> dict[str, Any]:
        """What became of a call that a node has taken."""
        draft = Draft(
            self.network.accounts[0],
            [call],
            self.sequence,
            valid_until=2**40,
            gas_limit=100_000,
            chain_id=CHAIN_ID,
            domain=self.network.domain,
        )
        self.sequence += 1
        raw = "0x" + draft.sign().raw.hex()
        answer: dict[str, Any] = await self.network.call(index, "tx_send", raw=raw, wait="final", timeoutMs=20_000)
        return answer

    async def get_version(self, did: Did) -> VersionId:
        """The id of the present version."""
        found = await self.network.call(0, "did_history", did=to_text(did), limit=1)
        return VersionId(bytes.fromhex(found["versions"][0]["versionId"][2:]))


def to_text(did: Did) -> str:
    return format_did(did, NetworkKind.DEVNET)


async def resolve(network: ProcessNetwork, index: int, did: Did) -> tuple[int, Any]:
    """Over HTTP, as the W3C has it."""
    url = f"http://127.0.0.1:{network.nodes[index].config.rpc_port}/1.0/identifiers/{to_text(did)}"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return response.status, await response.json(content_type=None)


async def test_identities_live_on_a_network(tmp_path: Path) -> None:
    async with running_network(tmp_path) as network:
        holder, domain = Holder(network), network.domain
        seller, create = build_create(control_of("seller", next_keys=commit("next")), "seller", domain=domain)
        assert (await resolve(network, 1, seller))[0] == 404
        assert (await holder.send(0, create))["status"] == "final"
        buyer, create = build_create(control_of("buyer"), "buyer", domain=domain)
        assert (await holder.send(1, create))["status"] == "final"
        car, create = build_create(
            control_of("p256 car"), "p256 car", (seller, "seller"), kind=DidKind.VEHICLE, owner=seller, domain=domain
        )
        assert (await holder.send(2, create))["status"] == "final"
        assert (await resolve(network, 3, car))[1]["didDocument"]["controller"] == to_text(seller)
        sale = TransferPayload(car, await holder.get_version(car), buyer)
        alone = await holder.send(0, build_call(sale, (seller, "seller"), domain=domain))
        assert (alone["status"], alone["reason"]) == ("failed", "DID_NOT_AUTHORISED")
        agreed = build_call(sale, (seller, "seller"), (buyer, "buyer"), domain=domain)
        assert (await holder.send(1, agreed))["status"] == "final"
        thief = ControlPayload(seller, await holder.get_version(seller), control_of("thief"))
        stolen = await holder.send(2, build_call(thief, "seller", "thief", name="rotate", domain=domain))
        assert (stolen["status"], stolen["reason"]) == ("failed", "DID_NOT_REVEALED")
        end = DeactivatePayload(seller, await holder.get_version(seller), policy_of("next"))
        assert (await holder.send(3, build_call(end, "seller", "next", domain=domain)))["status"] == "final"
        await network.wait_until_still()
        await network.check_same_chain()
        for index in range(4):
            assert (await resolve(network, index, car))[1]["didDocument"]["controller"] == to_text(buyer)
            status, gone = await resolve(network, index, seller)
            assert (status, gone["didDocument"], gone["didDocumentMetadata"]["deactivated"]) == (410, None, True)
