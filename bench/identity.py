"""Scenarios `did-create`, `did-resolve` and `request-approve`: what identities cost."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from statistics import median, quantiles

import aiohttp

from bench.apply import BENCH_CHAIN_ID, apply_all, open_funded_chain
from bench.floor import measure_floor
from bench.network import CHAIN_ID, BenchNetwork
from bench.report import Result
from bench.throughput import pack_batches, send_all, wait_until_final
from bench.transfers import BenchAccount, sign_calls
from identity.address import NetworkKind
from identity.attributes import open_attribute
from identity.did import Did, format_did
from identity.signing import SigningDomain
from ledger.primitives import Height
from ledger.transaction import Call
from rpc.calls import chain_head, chain_params, did_requests
from rpc.client import AsyncClient
from rpc.identifiers import IDENTIFIERS_PATH
from rpc.models import AttributeRequestView, EventMessage, RequestRole, SubscriptionMessage
from tests.attribute_scene import ANSWER_KEY, ANSWER_SECRET, PURPOSE, build_answer, build_attribute_call
from tests.did_scene import build_create, control_of
from vm.native.attribute_payloads import ApprovalPayload, RequestId, RequestPayload

Progress = Callable[[str], None]
NETWORK = NetworkKind.DEVNET
CREATE_GAS_LIMIT = 4_000
CREATE_ACCOUNTS = 100_000  # those of the scenario `apply`
CREATES = 20_000
BLOCK_CREATES = 2_000  # half of what fits a block's gas
CREATE_RATIO_MIN = 0.2

RESOLVED_IDENTITIES = 10_000
RESOLVE_CONNECTIONS = 50
RESOLVE_SECONDS = 8.0
PAYERS = 500

ROUNDS = 30
ATTRIBUTE_GAS_LIMIT = 60_000
REQUEST_HEIGHTS = 1_000
SUPER_NODES = 4
VERIFIER_NODE, HOLDER_NODE = 0, 2
"""Each talks to a node of its own."""


# did-create


async def run_did_create(progress: Progress) -> list[Result]:
    """Persons with a key each, whose signature the execution checks beside that of who pays."""
    floor = measure_floor()
    with open_funded_chain(CREATE_ACCOUNTS, progress) as funded:
        progress(f"signing {CREATES:,} identities")
        raws = sign_creates(funded.senders, CREATES, BENCH_CHAIN_ID, funded.domain)[1]
        rate, details = await apply_all(funded, raws, BLOCK_CREATES, progress)
    return [Result("did-create", rate, "identities/s", floor, rate / floor, CREATE_RATIO_MIN, details=details)]


def sign_creates(
    senders: Sequence[BenchAccount], count: int, chain_id: str, domain: SigningDomain
) -> tuple[list[Did], list[bytes]]:
    """New identities with the transactions that create them; senders, who have sent nothing yet, pay in turn."""
    dids, raws = [], []
    for index in range(count):
        name = f"holder {index}"
        did, call = build_create(control_of(name), name, domain=domain)
        sender, sequence = senders[index % len(senders)], index // len(senders)
        dids.append(did)
        raws.append(sign_call(sender, sequence, call, CREATE_GAS_LIMIT, chain_id, domain))
    return dids, raws


def sign_call(
    sender: BenchAccount, sequence: int, call: Call, gas_limit: int, chain_id: str, domain: SigningDomain
) -> bytes:
    """The encoded transaction of one call."""
    return sign_calls(sender, sequence, [[call.module, call.call, call.arguments]], gas_limit, chain_id, domain)


# did-resolve


async def run_did_resolve(progress: Progress) -> list[Result]:
    """Documents of identities in turn from 50 connections, over both ways to ask."""
    floor = measure_floor()
    accounts = [BenchAccount(f"bench {index}") for index in range(PAYERS)]
    network = await asyncio.to_thread(BenchNetwork(1, accounts).__enter__)
    try:
        progress(f"creating {RESOLVED_IDENTITIES:,} identities")
        dids, raws = sign_creates(accounts, RESOLVED_IDENTITIES, CHAIN_ID, network.domain)
        await asyncio.to_thread(send_all, network, pack_batches(raws))
        await asyncio.to_thread(wait_until_final, network, RESOLVED_IDENTITIES, progress)
        results = []
        for name, resolve in (("did-resolve-http", resolve_over_http), ("did-resolve-rpc", resolve_over_rpc)):
            progress(f"resolving from {RESOLVE_CONNECTIONS} connections for {RESOLVE_SECONDS:.0f} s")
            times_ms = await _resolve_for_a_while(network.rpc_ports[0], dids, resolve)
            rate, cuts = len(times_ms) / RESOLVE_SECONDS, quantiles(times_ms, n=100)
            details = {"p50 ms": round(cuts[49], 2), "p99 ms": round(cuts[98], 2), "connections": RESOLVE_CONNECTIONS}
            results.append(Result(name, rate, "requests/s", floor, rate / floor, details=details))
        return results
    finally:
        await asyncio.to_thread(network.__exit__, None, None, None)


Resolve = Callable[[aiohttp.ClientSession, int, str], Awaitable[None]]
"""Asks the node at a port for the document of an identity, and looks at the answer."""


async def resolve_over_http(session: aiohttp.ClientSession, port: int, did: str) -> None:
    """As universal resolvers ask."""
    async with session.get(f"http://127.0.0.1:{port}{IDENTIFIERS_PATH}{did}") as response:
        answer = await response.json(content_type=None)
    assert answer["didDocument"]["id"] == did, answer


async def resolve_over_rpc(session: aiohttp.ClientSession, port: int, did: str) -> None:
    """As wallets ask."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "did_resolve", "params": {"did": did}}
    async with session.post(f"http://127.0.0.1:{port}/rpc", json=body) as response:
        answer = await response.json()
    assert answer["result"]["didDocument"]["id"] == did, answer


async def _resolve_for_a_while(port: int, dids: Sequence[Did], resolve: Resolve) -> list[float]:
    """How long each request took, in ms."""
    texts = [format_did(did, NETWORK) for did in dids]
    times_ms: list[float] = []
    stop_s = time.perf_counter() + RESOLVE_SECONDS

    async def work(session: aiohttp.ClientSession, first: int) -> None:
        turn = first
        while (started_s := time.perf_counter()) < stop_s:
            await resolve(session, port, texts[turn % len(texts)])
            times_ms.append((time.perf_counter() - started_s) * 1e3)
            turn += RESOLVE_CONNECTIONS

    connector = aiohttp.TCPConnector(limit=RESOLVE_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for first in range(RESOLVE_CONNECTIONS):
            tasks.create_task(work(session, first))
    return times_ms


# request-approve


async def run_request_approve(progress: Progress) -> list[Result]:
    """From a verifier's sending a request to its reading the answer, one after the other, on four idle nodes."""
    floor = measure_floor()
    accounts = [BenchAccount("verifier"), BenchAccount("holder")]
    network = await asyncio.to_thread(BenchNetwork(SUPER_NODES, accounts).__enter__)
    try:
        urls = [f"http://127.0.0.1:{network.rpc_ports[index]}" for index in (VERIFIER_NODE, HOLDER_NODE)]
        async with AsyncClient(urls[0]) as verifier_client, AsyncClient(urls[1]) as holder_client:
            interval_ms = int((await verifier_client.run(chain_params())).params["block_interval_ms"])
            verifier = await Party.create(verifier_client, accounts[0], network.domain, "verifier")
            holder = await Party.create(holder_client, accounts[1], network.domain, "holder")
            answering = asyncio.create_task(_answer_all(holder))
            times_ms = await _ask_in_turn(verifier, holder.did, progress)
            await answering
    finally:
        await asyncio.to_thread(network.__exit__, None, None, None)
    cuts = quantiles(times_ms, n=100)
    results = []
    for name, value_ms in (("p50", median(times_ms)), ("p99", cuts[98])):
        details = {"block intervals": round(value_ms / interval_ms, 2), "rounds": ROUNDS, "interval_ms": interval_ms}
        results.append(Result(f"request-approve-{name}", value_ms, "ms", floor, None, details=details))
    return results


class Party:
    """An identity with its node and the account that pays; follows the events that name the identity."""

    def __init__(
        self, client: AsyncClient, account: BenchAccount, domain: SigningDomain, key: str, did: Did, start: int
    ) -> None:
        self.client = client
        self.did = did
        self.key = key
        self.domain = domain
        self._account = account
        self._sequence = 1
        filter = {"did": format_did(did, NETWORK), "module": "attributes"}
        self.events: AsyncGenerator[SubscriptionMessage, None] = client.subscribe("events", filter=filter, start=start)

    @classmethod
    async def create(cls, client: AsyncClient, account: BenchAccount, domain: SigningDomain, key: str) -> "Party":
        """A new identity on the chain."""
        did, call = build_create(control_of(key), key, domain=domain)
        sent = await client.send(sign_call(account, 0, call, CREATE_GAS_LIMIT, CHAIN_ID, domain), wait="final")
        assert sent.status == "final", sent
        return cls(client, account, domain, key, did, (await client.run(chain_head())).height + 1)

    async def send(self, name: str, payload: RequestPayload | ApprovalPayload) -> None:
        """Sign an operation and hand it to the node."""
        call = build_attribute_call(name, payload, self.key, domain=self.domain)
        raw = sign_call(self._account, self._sequence, call, ATTRIBUTE_GAS_LIMIT, CHAIN_ID, self.domain)
        self._sequence += 1
        await self.client.send(raw)

    async def wait_for(self, name: str) -> None:
        """Return when an event of this name comes; it is the next but for those of one's own operations."""
        async for message in self.events:
            assert isinstance(message.result, EventMessage), message
            if message.result.event.name == name:
                return

    async def read_newest_request(self, role: RequestRole) -> AttributeRequestView:
        """The request to this identity, or by it, that came last."""
        page = await self.client.run(did_requests(format_did(self.did, NETWORK), role=role, limit=1))
        return page.requests[0]


async def _answer_all(holder: Party) -> None:
    """As a wallet does: see the event, read what is asked for, approve."""
    for _ in range(ROUNDS):
        await holder.wait_for("AttributesRequested")
        request = await holder.read_newest_request("holder")
        answers = tuple(build_answer(name) for name in request.names)
        await holder.send("approve", ApprovalPayload(holder.did, RequestId(request.request_id), answers))
    await holder.events.aclose()


async def _ask_in_turn(verifier: Party, holder: Did, progress: Progress) -> list[float]:
    """ms that each round took."""
    times_ms = []
    for number in range(ROUNDS):
        progress(f"round {number + 1} of {ROUNDS}")
        expiry_height = Height((await verifier.client.run(chain_head())).height + REQUEST_HEIGHTS)
        payload = RequestPayload(verifier.did, number, holder, ("adult",), PURPOSE, expiry_height, ANSWER_KEY)
        started_s = time.perf_counter()
        await verifier.send("request", payload)
        await verifier.wait_for("AttributesApproved")
        answered = await verifier.read_newest_request("verifier")
        times_ms.append((time.perf_counter() - started_s) * 1e3)
        assert answered.state == "approved", answered
        assert open_attribute(answered.answers[0].sealed, ANSWER_SECRET)[0] == b"yes"
    await verifier.events.aclose()
    return times_ms
