"""Checks a stopped node's store against itself: the state against its tree, the chain against its certificates."""

from collections.abc import Callable, Iterator
from typing import Final

from consensus.certificate import InvalidCertificateError, InvalidHeaderError, check_certificate, check_header_link
from identity.signing import SigningDomain
from ledger.block import CertifiedBlock, compute_evidence_root, compute_transactions_root
from ledger.chain import Chain
from ledger.codec import DecodeError
from ledger.merkle import compute_leaf_hash, compute_root
from ledger.primitives import EnvelopeHash
from ledger.state_proof import InvalidProof, build_state_proof, check_state_proof
from ledger.store import Store
from ledger.store_keys import VALUE_PREFIX, value_store_key
from ledger.tree import TreeDamagedError, iterate_range

_AFTER_VALUES: Final = bytes([VALUE_PREFIX[0] + 1])


class StoreWrongError(Exception):
    """The first thing found that is not as it must be."""


def count_values(store: Store) -> int:
    """How many values the state has."""
    return sum(1 for _ in store.iterate(VALUE_PREFIX, _AFTER_VALUES))


def check_state(chain: Chain, advance: Callable[[int], None]) -> None:
    """Every value leads to the root of the state, and the tree holds nothing else; raises StoreWrongError."""
    store, root = chain.store, chain.head.state_root
    count = 0
    for pair, value in store.iterate(VALUE_PREFIX, _AFTER_VALUES):
        key = pair[len(VALUE_PREFIX) :]
        try:
            check_state_proof(build_state_proof(store.get, key, value), key, root)
        except (TreeDamagedError, InvalidProof) as error:
            raise StoreWrongError(f"state key 0x{key.hex()}: {error}") from None
        count += 1
        advance(1)
    try:
        for key in iterate_range(store.get, b"", None):
            count -= 1
            if store.get(value_store_key(key)) is None:
                raise StoreWrongError(f"state key 0x{key.hex()}: the tree holds it, and it has no value")
    except TreeDamagedError as error:
        raise StoreWrongError(f"the state tree: {error}") from None
    if count != 0:
        raise StoreWrongError("the state tree: it holds another number of keys than there are values")


def check_chain(chain: Chain, domain: SigningDomain, advance: Callable[[int], None]) -> None:
    """Every kept block follows the one before, is finalised, and has its receipts; raises StoreWrongError."""
    previous: CertifiedBlock | None = None
    for height in range(chain.earliest_height, chain.head.header.height + 1):
        try:
            problem, certified = _find_problem(chain, domain, height, previous)
        except (DecodeError, InvalidCertificateError, InvalidHeaderError) as error:
            problem, certified = str(error), None
        if problem is not None:
            raise StoreWrongError(f"block {height}: {problem}")
        previous = certified
        advance(1)
    if _compute_receipts_root(chain, chain.head.header.height) != chain.head.receipts_root:
        raise StoreWrongError(f"block {chain.head.header.height}: its receipts are not those of the head record")


def _find_problem(
    chain: Chain, domain: SigningDomain, height: int, previous: CertifiedBlock | None
) -> tuple[str | None, CertifiedBlock | None]:
    certified = chain.get_block(height)
    if certified is None:
        return "it is missing", None
    return next(_list_problems(chain, domain, height, certified, previous), None), certified


def _list_problems(
    chain: Chain, domain: SigningDomain, height: int, certified: CertifiedBlock, previous: CertifiedBlock | None
) -> Iterator[str]:
    block, header = certified.block, certified.block.header
    if header.height != height or chain.find_height(header.hash) != height:
        yield "its height or the entry of its hash is wrong"
    if compute_transactions_root([EnvelopeHash(compute_leaf_hash(raw)) for raw in block.transactions]) != (
        header.transactions_root
    ):
        yield "its transactions are not those of its header"
    if compute_evidence_root(block.evidence) != header.evidence_root:
        yield "its evidence is not that of its header"
    if height > 0:
        committee = chain.get_committee(header.committee_hash)
        if committee is None:
            yield "its committee is missing"
        else:
            check_certificate(certified.certificate, header, committee, domain)
    if previous is not None:
        check_header_link(previous.block.header, header)
        if _compute_receipts_root(chain, height - 1) != header.receipts_root:
            yield "it names other receipts than those of the block before"


def _compute_receipts_root(chain: Chain, height: int) -> bytes | None:
    leaves = chain.get_receipts_leaves(height)
    return None if leaves is None else compute_root([compute_leaf_hash(leaf) for leaf in leaves])
