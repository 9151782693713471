"""Who is to rule an identity, and its services, from words on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from node.cli.did_signing import find_public_key, parse_did_text, parse_hex_key
from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from identity.did import Did
    from identity.policy import KeyPolicy, WeightedKey
    from node.cli.accounts import Keyring
    from vm.native.did_records import Control, Controllers, Guardians, Service

_PARTS_OF_SERVICE: Final = 3


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Who is to rule an identity; None or empty: nobody in that part."""

    keys: tuple[str, ...]
    threshold: int
    agreement_keys: tuple[str, ...]
    controllers: tuple[str, ...]
    controllers_needed: int
    next_keys: tuple[str, ...]
    next_threshold: int
    recovery_keys: tuple[str, ...]
    recovery_threshold: int
    guardians: tuple[str, ...]
    guardians_needed: int
    is_kept: bool = False
    """Whether parts of which nothing is said stay as they are, all but the next keys, which a rotation uses up."""


def build_control(
    options: ControlOptions, keyring: "Keyring", network: "NetworkKind", present: "Control | None" = None
) -> "Control":
    """Who is to rule an identity, as the options say; raises CommandFailedError.

    `present` is who rules it now: what is kept.
    """
    from vm.native.did_records import Control, Controllers, DidKeys, Guardians, compute_commitment

    policy = build_key_policy(options.keys, options.threshold, keyring, network)
    agreement_keys = tuple(sorted(parse_hex_key(text) for text in options.agreement_keys))
    controllers = _parse_dids(options.controllers, network)
    guardians = _parse_dids(options.guardians, network)
    next_policy = build_key_policy(options.next_keys, options.next_threshold, keyring, network)
    recovery_policy = build_key_policy(options.recovery_keys, options.recovery_threshold, keyring, network)
    given = Control(
        DidKeys(policy, agreement_keys),
        Controllers(controllers, options.controllers_needed) if controllers else None,
        None if next_policy is None else compute_commitment(next_policy),
        None if recovery_policy is None else compute_commitment(recovery_policy),
        Guardians(guardians, options.guardians_needed) if guardians else None,
    )
    return _merge(given, present) if options.is_kept and present is not None else given


def describe_control(control: "Control", network: "NetworkKind") -> dict[str, str | None]:
    """Who rules an identity, for people: keys as --key takes them, and how many it takes."""
    from identity.did import format_did

    def list_dids(party: "Controllers | Guardians | None") -> str | None:
        return None if party is None else _count(party.threshold, [format_did(did, network) for did in party.dids])

    policy = control.keys.policy
    keys = [] if policy is None else [_describe_key(each) for each in policy.keys]
    return {
        "keys": None if policy is None else _count(policy.threshold, keys),
        "agreementKeys": ", ".join("0x" + each.hex() for each in control.keys.agreement_keys) or None,
        "controllers": list_dids(control.controllers),
        "nextKeysCommitment": None if control.next_keys is None else "0x" + control.next_keys.hex(),
        "recoveryKeysCommitment": None if control.recovery_keys is None else "0x" + control.recovery_keys.hex(),
        "guardians": list_dids(control.guardians),
    }


def build_key_policy(
    names: Sequence[str], threshold: int, keyring: "Keyring", network: "NetworkKind"
) -> "KeyPolicy | None":
    """Keys of these names, each of weight 1; None for no keys. Raises CommandFailedError."""
    from identity.policy import InvalidPolicyError, build_policy

    if not names:
        return None
    try:
        return build_policy([(find_public_key(name, keyring, network), 1) for name in names], threshold)
    except InvalidPolicyError as error:
        raise CommandFailedError(f"these keys cannot rule an identity: {error}") from None


def parse_services(texts: Sequence[str]) -> "tuple[Service, ...]":
    """Services from NAME=TYPE=URI, in the order the chain wants; raises CommandFailedError."""
    from vm.native.did_records import Service
    from vm.native.did_rules import is_normal_uri

    services = []
    for text in texts:
        parts = text.split("=", _PARTS_OF_SERVICE - 1)
        if len(parts) != _PARTS_OF_SERVICE:
            raise CommandFailedError(
                f"--service {text!r}: write NAME=TYPE=URI, for instance mail=Mail=mailto:me@a.example"
            )
        if not is_normal_uri(parts[2]):
            raise CommandFailedError(
                f"--service: {parts[2]!r} is not a URI in its normal form: scheme and host in lower case, "
                "a path after the host (https://a.example/), no default port"
            )
        services.append(Service(*parts))
    return tuple(sorted(services, key=lambda each: each.name))


def _parse_dids(texts: Sequence[str], network: "NetworkKind") -> "tuple[Did, ...]":
    return tuple(sorted(dict.fromkeys(parse_did_text(text, network) for text in texts)))


def _merge(given: "Control", present: "Control") -> "Control":
    """What is said, and what is now where nothing is said; next keys are always said anew."""
    from vm.native.did_records import Control, DidKeys

    return Control(
        DidKeys(
            given.keys.policy or present.keys.policy,
            given.keys.agreement_keys or present.keys.agreement_keys,
        ),
        given.controllers or present.controllers,
        given.next_keys,
        given.recovery_keys or present.recovery_keys,
        given.guardians or present.guardians,
    )


def _describe_key(key: "WeightedKey") -> str:
    weight = "" if key.weight == 1 else f" (weight {key.weight})"
    return f"{key.key_type.name.lower()}:0x{key.key.hex()}{weight}"


def _count(threshold: int, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{threshold} of {', '.join(parts)}"
