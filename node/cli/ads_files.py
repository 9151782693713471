"""Files of `carlive ads`: terms as an advertiser writes them, offers and matches that go from hand to hand, tags."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.atomic_file import PRIVATE_FILE_MODE, replace_file
from node.cli.did_signing import parse_did_text, read_json_file, signature_to_json
from node.cli.failures import CommandFailedError
from node.cli.limited_files import read_limited

if TYPE_CHECKING:
    from identity.address import Address
    from identity.keys import PrivateKey
    from identity.targeting import TagValue
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts
    from vm.native.ads_records import BalancePayload, ItemRule, OfferPayload, Terms
    from vm.native.did_payloads import DidSignature

KINDS: Final = ("live-view", "message-read", "fan-interaction", "click")
SALT_BYTES: Final = 32
SECRET_BYTES: Final = 32
_SIDES: Final = ("offerer", "counterparty")
_TERMS_FIELDS: Final = {
    *("contentHash", "metadataUri", "metadataHash", "targeting", "start", "end", "dailyMax", "cap", "items", "fixed"),
    *("split", "platform", "refund", "offerer", "matcher"),
}


@dataclass(frozen=True, slots=True)
class Match:
    """That an identity matches, with what only its holder keeps."""

    campaign: int
    slot: int
    nullifier: bytes
    tags_commitment: bytes


def get_kind_number(name: str) -> int:
    """The number of a kind of delivery."""
    return KINDS.index(name) + 1


def read_terms(path: Path, keyring: "Keyring", facts: "ChainFacts") -> "Terms":
    """A campaign's terms, see docs/ads.md; raises CommandFailedError."""
    from identity.targeting import InvalidTargetingError

    record = read_json_file(path)
    if not isinstance(record, dict) or set(record) - {"fixed", "matcher"} != _TERMS_FIELDS - {"fixed", "matcher"}:
        raise CommandFailedError(f"{path} has the fields {', '.join(sorted(_TERMS_FIELDS))}")
    try:
        return _build_terms(record, keyring, facts)
    except InvalidTargetingError as error:
        raise CommandFailedError(f"targeting: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CommandFailedError(f"{path} is no campaign's terms: {error}") from None


def _build_terms(record: Mapping[str, Any], keyring: "Keyring", facts: "ChainFacts") -> "Terms":
    from identity.targeting import pack_expression, parse_expression
    from ledger.primitives import Grains, TimeMs
    from node.cli.amounts import parse_iov
    from vm.native.ads_formulas import FixedReward, Split
    from vm.native.ads_records import Terms

    split, fixed, matcher = record["split"], record.get("fixed"), record.get("matcher")
    return Terms(
        content_hash=_parse_hash(record["contentHash"]),
        metadata_uri=record["metadataUri"],
        metadata_hash=_parse_hash(record["metadataHash"]),
        targeting=pack_expression(parse_expression(record["targeting"])),
        start_ms=TimeMs(_parse_time(record["start"])),
        end_ms=TimeMs(_parse_time(record["end"])),
        daily_grains_max=Grains(parse_iov(record["dailyMax"])),
        cap=record["cap"],
        items=tuple(sorted(map(_build_item, record["items"]), key=lambda item: item.kind)),
        fixed=None if fixed is None else FixedReward(Grains(parse_iov(fixed["total"])), fixed["deliveries"]),
        split=Split(split["user"], split["publisher"], split["platform"]),
        platform=_find_address(record["platform"], keyring, facts),
        refund=_find_address(record["refund"], keyring, facts),
        offerer=parse_did_text(record["offerer"], facts.network),
        matcher=None if matcher is None else parse_did_text(matcher, facts.network),
    )


def _build_item(record: Mapping[str, Any]) -> "ItemRule":
    from ledger.primitives import Grains
    from node.cli.amounts import parse_iov
    from vm.native.ads_records import DeliveryKind, ItemRule

    low, high = ("0", "0") if record.get("price") is None else record["price"]
    units_min, units_max = record.get("units", [1, 1])
    prices = [Grains(0 if text == "0" else parse_iov(text)) for text in (low, high)]
    return ItemRule(DeliveryKind(get_kind_number(record["kind"])), prices[0], prices[1], units_min, units_max)


def _find_address(text: str, keyring: "Keyring", facts: "ChainFacts") -> "Address":
    return keyring.find_address(text, facts.network)


def _parse_hash(text: str) -> bytes:
    value = bytes.fromhex(text.removeprefix("0x"))
    if len(value) != 32:
        raise ValueError("a hash has 32 bytes")
    return value


def _parse_time(text: str) -> int:
    """Milliseconds of ISO 8601 with a zone, for instance 2026-12-01T00:00:00Z."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone: end it with Z for UTC")
    return int(time.astimezone(UTC).timestamp()) * 1000


# Offers and matches


def write_offer(path: Path, offer: "OfferPayload", signatures: "Sequence[DidSignature]", facts: "ChainFacts") -> None:
    """Save an offer that the campaign's offerer has signed."""
    from ledger.codec import encode

    record = {
        "chain": facts.chain_id,
        "offer": "0x" + encode(offer).hex(),
        "signatures": [signature_to_json(each, facts.network) for each in signatures],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_offer(path: Path, facts: "ChainFacts") -> "tuple[OfferPayload, tuple[DidSignature, ...]]":
    """An offer and its signatures; raises CommandFailedError."""
    from ledger.codec import DecodeError, decode
    from node.cli.did_signing import parse_signature
    from vm.native.ads_records import OfferPayload

    record = read_json_file(path)
    try:
        chain, signatures = record["chain"], [parse_signature(each, facts.network) for each in record["signatures"]]
        offer = decode(OfferPayload, bytes.fromhex(record["offer"].removeprefix("0x")))
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError):
        raise CommandFailedError(f"{path} is not an offer of carlive ads offer") from None
    if chain != facts.chain_id:
        raise CommandFailedError(f"{path} is for the chain {chain}, this node is on {facts.chain_id}")
    return offer, tuple(signatures)


def write_match(path: Path, match: Match, salt: bytes) -> None:
    """Save a match; the salt is for whoever may have to show the tags, and nobody else reads the file."""
    record = {
        "campaign": match.campaign,
        "slot": match.slot,
        "nullifier": "0x" + match.nullifier.hex(),
        "tagsCommitment": "0x" + match.tags_commitment.hex(),
        "salt": "0x" + salt.hex(),
    }
    replace_file(path, (json.dumps(record, indent=2) + "\n").encode(), PRIVATE_FILE_MODE)


def read_match(path: Path) -> Match:
    """What carlive ads match has saved; raises CommandFailedError."""
    record = read_json_file(path)
    try:
        hashes = [_parse_hash(record[name]) for name in ("nullifier", "tagsCommitment")]
        return Match(int(record["campaign"]), int(record["slot"]), *hashes)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise CommandFailedError(f"{path} is not a match of carlive ads match") from None


def sign_balance_file(
    path: Path, payload: "BalancePayload", channel: Mapping[str, Any], key: "PrivateKey", facts: "ChainFacts"
) -> dict[str, Any]:
    """Add one side's signature to the file of a balance, which is made when it is not there.

    Raises CommandFailedError when it is of another balance, or the key is none of the channel's.
    """
    from identity.signing import SigningPurpose, signing_bytes
    from ledger.codec import encode

    encoded = encode(payload)
    public_key = "0x" + key.public_key.key.hex()
    side = next((each for each in _SIDES if channel[f"{each}Key"] == public_key), None)
    if side is None:
        raise CommandFailedError("this key is none of the channel's: it was opened with others")
    record = {"chain": facts.chain_id, "balance": "0x" + encoded.hex()}
    if path.exists():
        found = read_json_file(path)
        if not isinstance(found, dict) or {name: found.get(name) for name in record} != record:
            raise CommandFailedError(f"{path} is of another balance")
        record = found
    message = signing_bytes(SigningPurpose.ADS_BALANCE, facts.domain, encoded)
    record[f"{side}Signature"] = "0x" + key.sign(message).hex()
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return {"signedAs": side, "file": str(path), "isComplete": all(f"{each}Signature" in record for each in _SIDES)}


def read_balance_arguments(path: Path, facts: "ChainFacts") -> list[Any]:
    """The arguments of ads.post_balance as JSON; raises CommandFailedError."""
    from ledger.codec import DecodeError, decode, to_plain
    from rpc.arguments import arguments_to_json, describe_fields
    from vm.native.ads_records import BalancePayload

    record = read_json_file(path)
    try:
        chain, offerer = record["chain"], record["offererSignature"]
        payload = decode(BalancePayload, bytes.fromhex(record["balance"].removeprefix("0x")))
        counterparty = record.get("counterpartySignature")
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError):
        raise CommandFailedError(f"{path} is not a balance of carlive ads sign-balance by the offerer") from None
    if chain != facts.chain_id:
        raise CommandFailedError(f"{path} is for the chain {chain}, this node is on {facts.chain_id}")
    return [arguments_to_json(describe_fields(BalancePayload), to_plain(payload), facts.network), offerer, counterparty]


def read_tags(path: Path) -> "dict[str, TagValue]":
    """Tags by name: true or false, integers, texts, or lists of texts; raises CommandFailedError."""
    record = read_json_file(path)
    if not isinstance(record, dict):
        raise CommandFailedError(f"{path} is no object of tags by their names")
    tags: dict[str, TagValue] = {}
    for name, value in record.items():
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            tags[name] = frozenset(value)
        elif isinstance(value, (bool, int, str)):
            tags[name] = value
        else:
            raise CommandFailedError(f"{path}: {name} is neither true, false, an integer, a text nor a list of texts")
    return tags


def read_secret(path: Path) -> bytes:
    """A matcher's secret, 64 hexadecimal digits; raises CommandFailedError."""
    try:
        secret = bytes.fromhex(read_limited(path, 2 * SECRET_BYTES + 2).decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise CommandFailedError(f"{path} holds no secret of {2 * SECRET_BYTES} hexadecimal digits")
    return secret
