"""Scenario `contracts`: calls of a token contract a second, executed, hashed into the state tree and written."""

import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from bench.apply import build_block, commit_state, fund_accounts, make_document
from bench.floor import measure_floor
from bench.report import Result
from bench.token import MINTED, build_token, pack_payment
from bench.transfers import BenchAccount, sign_calls
from genesis.build import initialise_chain
from identity.address import Address, compute_contract_address
from identity.signing import compute_signing_domain
from ledger.chain import Chain
from ledger.transaction import decode_transaction
from node.collector import calm_collector
from node.execution import Execution
from node.leveldb_store import LevelDbStore

Progress = Callable[[str], None]
BLOCK_CALLS = 2_000
BLOCKS = 10
HOLDERS = 50_000
CALLS_MIN = 3_000.0
GAS_LIMIT = 5_000
PUBLISHING_GAS = 1_000_000


async def run_contracts(progress: Progress) -> list[Result]:
    """Two reads, two writes and an event a call; signatures are checked elsewhere and do not count."""
    floor = measure_floor()
    with tempfile.TemporaryDirectory(prefix="carlive-bench-") as directory:
        store = LevelDbStore(Path(directory) / "data")
        try:
            domain = compute_signing_domain("bench", initialise_chain(store, make_document()).hash)
            chain = Chain(store)
            sender = BenchAccount("sender")
            fund_accounts(chain, [sender.address])
            execution = Execution(chain, domain, None)
            code = build_token()
            code_hash = sha256(code).digest()
            token = compute_contract_address(sender.address, code_hash, b"")

            async def execute(calls: list[list[object]], sequence: int, gas_limit: int) -> tuple[float, int]:
                """Each in a transaction of its own, all in a block: ms, and gas of the last one."""
                transactions = [
                    decode_transaction(sign_calls(sender, sequence + index, [call], gas_limit, "bench", domain))
                    for index, call in enumerate(calls)
                ]
                committed = await execution.execute(build_block(chain, transactions), transactions)
                assert all(receipt.status == 0 for receipt in committed.receipts), "every call succeeds"
                return committed.executed_ms, committed.receipts[-1].gas_used

            await execute([["contracts", "introduce", [b"", code_hash, code, b"", 0]]], 0, PUBLISHING_GAS)
            await execute([["contracts", "seal", [token]]], 1, PUBLISHING_GAS)
            mint = ["contracts", "call", [token, "mint", pack_payment(sender.address, MINTED), 0]]
            await execute([mint], 2, GAS_LIMIT)
            holders = [Address(sha256(b"%d" % index).digest()[:20]) for index in range(HOLDERS)]
            calm_collector()
            total_ms, gas = 0.0, 0
            for block in range(BLOCKS):
                first = block * BLOCK_CALLS
                calls: list[list[object]] = [
                    ["contracts", "call", [token, "transfer", pack_payment(holders[index * 7919 % HOLDERS], 1), 0]]
                    for index in range(first, first + BLOCK_CALLS)
                ]
                block_ms, gas = await execute(calls, 3 + first, GAS_LIMIT)
                total_ms += block_ms
                progress(f"{first + BLOCK_CALLS:,} calls")
            commit_state(chain, {})
        finally:
            store.close()
    count = BLOCKS * BLOCK_CALLS
    details: dict[str, object] = {"us a call": round(total_ms * 1e3 / count, 1), "gas a call": gas}
    return [Result("contracts", count / total_ms * 1e3, "calls/s", floor, None, CALLS_MIN, details=details)]
