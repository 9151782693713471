"""The dev_ methods of a devnet: some are done by the node, the rest by the devnet's supervisor."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from genesis.presets import list_development_accounts
from identity.address import Address, compute_key_address
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.primitives import ChainId, Gas, Grains, Height, TransactionId
from ledger.reasons import Rejected
from ledger.transaction import (
    SALT_BYTES,
    SENDER,
    TRANSACTION_VERSION,
    UNORDERED_HEIGHTS_MAX,
    Authorisation,
    Call,
    TransactionBody,
    UnorderedSalt,
    build_transaction,
    encode_body,
)
from node.dev_control import ControlAddress, DevControlError, request
from rpc.backend import Backend, TransactionStatus
from rpc.errors import limit_exceeded, method_disabled, not_ready, rejected
from rpc.models import DevAccount, Head
from vm.native.stake import get_epoch
from vm.parameters import get_parameters

FUND_GAS_LIMIT: Final = 10_000
FUND_PRICE_GRAINS: Final = 100
WAIT_MS: Final = 20_000

EPOCH_BLOCKS_MAX: Final = 1_000
"""As many blocks as dev_mine makes; the time that a call may take ends it sooner."""
EPOCH_STEP_BLOCKS: Final = 20  # then it looks whether the epoch's end has moved

Mine = Callable[[int], Awaitable[None]]


class DevMethods:
    """Implements rpc.backend.DevControl."""

    def __init__(self, domain: SigningDomain, supervisor: ControlAddress | None, mine: Mine) -> None:
        self._domain = domain
        self._supervisor = supervisor
        self._mine = mine
        self._backend: Backend | None = None

    def attach(self, backend: Backend) -> None:
        """Set once: the backend needs its dev methods first."""
        self._backend = backend

    async def accounts(self) -> list[DevAccount]:
        """Funded accounts with their keys, which are public."""
        return [
            DevAccount(
                address=account.address,
                key_type=account.key.key_type.name.lower(),
                public_key=account.key.public_key.key,
                secret_key=account.key.secret,
            )
            for account in list_development_accounts()
        ]

    async def fund(self, address: Address, amount_grains: int) -> TransactionStatus:
        """Send IOV from the first development account and wait until it is final."""
        backend = self._get_backend()
        key = list_development_accounts()[0].key
        body = TransactionBody(
            version=TRANSACTION_VERSION,
            chain_id=ChainId(backend.chain_id),
            sender=compute_key_address(key.public_key),
            ordering=UnorderedSalt(os.urandom(SALT_BYTES)),
            valid_until=Height(backend.get_head().height + UNORDERED_HEIGHTS_MAX // 2),
            gas_limit=Gas(FUND_GAS_LIMIT),
            fee_max_grains=Grains(FUND_GAS_LIMIT * FUND_PRICE_GRAINS),
            fee_payer=None,
            calls=(Call("iov", "transfer", [address, amount_grains]),),
            memo="",
        )
        encoded = encode_body(body)
        signature = key.sign(signing_bytes(SigningPurpose.TRANSACTION, self._domain, encoded))
        authorisation = Authorisation(SENDER, key.key_type, key.public_key.key, signature)  # type: ignore[arg-type]
        (outcome,) = await backend.submit_many([build_transaction(encoded, (authorisation,)).raw])
        if isinstance(outcome, Rejected):
            raise rejected(outcome)
        return await backend.wait_final(TransactionId(outcome.id), WAIT_MS)

    async def mine(self, blocks: int) -> Head:
        """Make blocks now, empty ones if nothing waits."""
        await self._mine(blocks)
        return self._get_backend().get_head()

    async def set_time(self, time_ms: int) -> Head:
        """Set all nodes' clocks."""
        await self._ask("setTime", timeMs=time_ms)
        return self._get_backend().get_head()

    async def advance_epoch(self) -> Head:
        """Make blocks until another epoch has begun; others may make blocks in the meantime."""
        backend = self._get_backend()
        begun, last_height = _read_epoch(backend)
        stop_height = backend.get_head().height + EPOCH_BLOCKS_MAX
        number = begun
        while number == begun:
            missing = last_height - backend.get_head().height
            if backend.get_head().height + missing > stop_height:
                raise limit_exceeded(
                    f"epoch {begun} ends with block {last_height}, more than {EPOCH_BLOCKS_MAX} blocks away: begin the "
                    "devnet with shorter epochs (carlive devnet --fresh --epoch-heights N)"
                )
            await self._mine(max(1, min(missing, EPOCH_STEP_BLOCKS)))
            number, last_height = _read_epoch(backend)
        return backend.get_head()

    async def crash(self, node: int) -> None:
        """Kill a node without warning."""
        await self._ask("crash", node=node)

    async def restart(self, node: int) -> None:
        """Start a killed node."""
        await self._ask("restart", node=node)

    async def partition(self, groups: Sequence[Sequence[int]]) -> None:
        """Cut the network into groups."""
        await self._ask("partition", groups=[list(group) for group in groups])

    async def heal(self) -> None:
        """Join all groups again."""
        await self._ask("heal")

    async def snapshot(self) -> str:
        """Remember the state of all nodes."""
        return str(await self._ask("snapshot"))

    async def revert(self, snapshot: str) -> Head:
        """Return to a remembered state; the nodes restart for it."""
        await self._ask("revert", snapshot=snapshot)
        return self._get_backend().get_head()

    async def _ask(self, method: str, **params: Any) -> Any:
        if self._supervisor is None:
            raise method_disabled("this node was not started by carlive devnet")
        try:
            return await request(self._supervisor.socket_path, self._supervisor.index, method, params)
        except DevControlError as error:
            raise not_ready(str(error)) from None

    def _get_backend(self) -> Backend:
        assert self._backend is not None, "attach comes first"
        return self._backend


def _read_epoch(backend: Backend) -> tuple[int, int]:
    """Number of the epoch going on, and the block it ends with."""
    with backend.open_state(None) as state:
        epoch = get_epoch(state)
        return epoch.number, epoch.first_height + get_parameters(state).epoch_heights - 1
