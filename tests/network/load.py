"""Transfers under faults, and the books at the end: nothing lost, nothing twice, every grain accounted for."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from identity.address import Address, NetworkKind, format_address
from identity.keys import PrivateKey
from tests.builders import Draft, address_of, transfer
from tests.network.processes import CHAIN_ID, FUNDED_GRAINS, CallFailedError, ProcessNetwork, eventually

_TRY_AGAIN = frozenset({"SEQUENCE_TOO_HIGH", "MEMPOOL_FULL", "NODE_BEHIND", "NODE_SYNCING", "NOT_READY"})
_RETRY_S = 0.05
ACCOUNT_TRANSACTIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A transfer that a node has acknowledged."""

    sender: Address
    recipient: Address
    amount_grains: int


class TransferLoad:
    """Every account sends one transfer after another: the same bytes again until some node acknowledges them."""

    def __init__(self, network: ProcessNetwork, pause_s: float = 0.05, targets: Sequence[int] | None = None) -> None:
        """`targets`: the nodes to send to, shared fairly; who gets no answer turns to the next."""
        self.acknowledged: dict[str, Sent] = {}
        self._network = network
        self._pause_s = pause_s
        self._targets = list(range(len(network.nodes)) if targets is None else targets)
        self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "TransferLoad":
        self._tasks = [
            asyncio.create_task(self._send_for(number, key)) for number, key in enumerate(self._network.accounts)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def wait_for(self, count: int) -> None:
        """Until so many more are acknowledged."""
        goal = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= goal, f"{count} more transfers acknowledged", pause_s=0.02)

    async def _send_for(self, number: int, key: PrivateKey) -> None:
        recipient = address_of(self._network.accounts[(number + 1) % len(self._network.accounts)])
        target = number
        for sequence in range(ACCOUNT_TRANSACTIONS_MAX):
            amount = 1 + (7 * sequence + number) % 1_000
            draft = Draft(
                key,
                [transfer(recipient, amount)],
                sequence,
                valid_until=2**40,
                gas_limit=2_000,
                chain_id=CHAIN_ID,
                domain=self._network.domain,
            )
            transaction = draft.sign()
            while not await self._try_to_send(self._targets[target % len(self._targets)], transaction.raw, sequence):
                target += 1
                await asyncio.sleep(_RETRY_S)
            self.acknowledged["0x" + transaction.id.hex()] = Sent(address_of(key), recipient, amount)
            await asyncio.sleep(self._pause_s)

    async def _try_to_send(self, target: int, raw: bytes, sequence: int) -> bool:
        try:
            wait = "final" if sequence % 4 == 3 else "admitted"
            await self._network.call(target, "tx_send", raw="0x" + raw.hex(), wait=wait, timeoutMs=2_000)
        except (aiohttp.ClientError, TimeoutError):
            return False
        except CallFailedError as error:
            if error.reason not in _TRY_AGAIN:
                raise
            return False
        return True


async def check_books(network: ProcessNetwork, index: int, acknowledged: dict[str, Sent]) -> None:
    """On this node every acknowledged transfer is final exactly once, and every balance follows from the receipts."""
    sent_by_id = dict(acknowledged)
    seen: Counter[str] = Counter()
    balances: Counter[Address] = Counter({address_of(key): FUNDED_GRAINS for key in network.accounts})
    for height in range(1, await network.get_height(index) + 1):
        block = await network.call(index, "chain_getBlock", height=height, full=True)
        if not block["transactionIds"]:
            continue
        receipts = (await network.call(index, "chain_getResults", height=height))["receipts"]
        for view, receipt in zip(block["transactions"], receipts, strict=True):
            if receipt["status"] == "skipped":
                continue
            assert receipt["status"] == "succeeded", receipt
            seen[view["id"]] += 1
            sent = sent_by_id.get(view["id"]) or _read_transfer(network, view)
            balances[sent.sender] -= sent.amount_grains + int(receipt["fee"])
            balances[sent.recipient] += sent.amount_grains
    lost = sorted(set(acknowledged) - set(seen))
    assert not lost, f"{len(lost)} acknowledged transfers are not final: {lost[:3]}"
    assert max(seen.values(), default=0) <= 1, "a transfer is in the chain twice"
    for address, grains in balances.items():
        account = await network.call(index, "account_get", address=format_address(address, NetworkKind.DEVNET))
        assert int(account["balance"]) == grains


def _read_transfer(network: ProcessNetwork, view: dict[str, object]) -> Sent:
    """One whose acknowledgement was lost with the node that gave it."""
    by_text: dict[str, Address] = {
        format_address(address_of(key), NetworkKind.DEVNET): address_of(key) for key in network.accounts
    }
    (call,) = view["calls"]  # type: ignore[misc]
    recipient, amount_grains = call["arguments"].values()
    return Sent(by_text[str(view["sender"])], by_text[recipient], int(amount_grains))
