"""What a platform hands to an account's user, as it comes back from a file of carlive platform claim-package."""

from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.did_signing import read_json_file
from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from node.platform_migration import ClaimPackage


def read_claim_package(path: Path) -> "ClaimPackage":
    """A package that holds together; raises CommandFailedError."""
    from identity.platform_account import (
        AccountHash,
        AccountSecrets,
        ClaimKey,
        compute_account_hash,
        encode_claim_leaf,
        get_claim_private_key,
    )
    from ledger.codec import DecodeError, from_plain
    from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid
    from ledger.primitives import RootHash
    from node.platform_migration import ClaimPackage

    plain = read_json_file(path)
    try:
        own = AccountSecrets(*(bytes.fromhex(plain["secrets"][name]) for name in ("salt", "claim_seed")))
        proof = plain["proof"]
        package = ClaimPackage(
            plain["name"],
            own,
            AccountHash(compute_account_hash(plain["name"], own.salt)),
            ClaimKey(get_claim_private_key(own).public_key.key),
            RootHash(bytes.fromhex(plain["root"])),
            from_plain(ListProof, [proof["index"], proof["size"], [bytes.fromhex(each) for each in proof["path"]]]),
        )
        leaf_hash = compute_leaf_hash(encode_claim_leaf(package.account, package.claim_key))
        is_whole = is_proof_valid(package.proof, leaf_hash, package.root)
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError):
        raise CommandFailedError(f"{path} is not a package of carlive platform claim-package") from None
    if not is_whole:
        raise CommandFailedError(f"{path} was changed: its account does not stand in its list")
    return package
