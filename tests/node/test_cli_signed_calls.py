"""The table of calls that keys of identities sign holds all of them, as the modules have them."""

from ledger.reasons import Reason
from node.cli.did_signed_calls import SIGNED_CALLS
from node.cli.did_signing import SIGNER_REASONS, STALE_REASONS
from vm.native.did_payloads import DidSignatures
from vm.native.registry import MODULES, list_fields


def test_every_call_with_signatures_of_identities_is_in_the_table() -> None:
    signed = {
        f"{module.name}.{call.name}": call.arguments
        for module in MODULES.values()
        for call in module.calls
        if ("signatures", DidSignatures) in list_fields(call.arguments)
    }
    assert {name: row.rule.arguments for name, row in SIGNED_CALLS.items()} == signed


def test_what_is_signed_is_what_the_call_holds() -> None:
    for row in SIGNED_CALLS.values():
        held = list_fields(row.rule.arguments)
        assert held[0] == ("payload", row.rule.payload)
        assert held[-1] == ("signatures", DidSignatures)
        assert row.list_more_types() == [hint for _, hint in held[1:-1]]


def test_each_call_has_a_purpose_of_its_own() -> None:
    assert len({row.rule.purpose for row in SIGNED_CALLS.values()}) == len(SIGNED_CALLS)


def test_reasons_with_advice_are_reasons() -> None:
    assert set(Reason.__members__) >= STALE_REASONS | SIGNER_REASONS
