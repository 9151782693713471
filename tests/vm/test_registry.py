"""The table of native modules."""

import pytest

from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from tests.builders import address_of, make_key, make_state
from vm.context import Moment
from vm.native.pauses import PAUSABLE
from vm.native.registry import CALLS, MODULES, answer_view, list_fields

MOMENT = Moment(Height(7), TimeMs(9_000))


def test_every_call_has_a_summary_and_typed_fields():
    for (module, name), ready in CALLS.items():
        assert ready.rule.arguments.__doc__, f"{module}.{name}"
        assert list_fields(ready.rule.arguments) is not None
        assert ready.rule.gas


def test_names_are_stable():
    assert sorted(CALLS) == [
        ("acceptors", "apply"),
        ("acceptors", "check"),
        ("acceptors", "withdraw"),
        ("accounts", "register_policy"),
        ("accounts", "set_policy"),
        ("ads", "accept"),
        ("ads", "close_complaint"),
        ("ads", "complain"),
        ("ads", "complete"),
        ("ads", "create"),
        ("ads", "end"),
        ("ads", "enrol"),
        ("ads", "fund"),
        ("ads", "judge"),
        ("ads", "lapse"),
        ("ads", "open_channel"),
        ("ads", "pause"),
        ("ads", "post_balance"),
        ("ads", "resume"),
        ("ads", "review"),
        ("ads", "revise"),
        ("ads", "settle"),
        ("ads", "settle_channel"),
        ("ads", "submit"),
        ("ads", "withdraw"),
        ("attributes", "approve"),
        ("attributes", "refuse"),
        ("attributes", "remove_tag"),
        ("attributes", "request"),
        ("attributes", "set_tag"),
        ("attributes", "withdraw_consent"),
        ("contracts", "call"),
        ("contracts", "introduce"),
        ("contracts", "seal"),
        ("contracts", "set_owner"),
        ("contracts", "store_part"),
        ("contracts", "upgrade"),
        ("credentials", "anchor_status_list"),
        ("did", "complete_recovery"),
        ("did", "create"),
        ("did", "deactivate"),
        ("did", "link_account"),
        ("did", "object_to_recovery"),
        ("did", "recover"),
        ("did", "request_recovery"),
        ("did", "rotate"),
        ("did", "transfer"),
        ("did", "unlink_account"),
        ("did", "update"),
        ("distribution", "challenge"),
        ("distribution", "claim"),
        ("distribution", "fund"),
        ("distribution", "post_root"),
        ("distribution", "set_payout"),
        ("distribution", "void_root"),
        ("distribution", "withdraw"),
        ("dividends", "take_back"),
        ("gifts", "claim"),
        ("gifts", "give"),
        ("gifts", "refund"),
        ("gifts", "tip"),
        ("gifts", "tip_did"),
        ("governance", "donate"),
        ("governance", "propose_acceptor"),
        ("governance", "propose_acceptor_removal"),
        ("governance", "propose_acceptor_rules"),
        ("governance", "propose_ads_rules"),
        ("governance", "propose_body"),
        ("governance", "propose_code"),
        ("governance", "propose_developer"),
        ("governance", "propose_developer_removal"),
        ("governance", "propose_dividend"),
        ("governance", "propose_grant"),
        ("governance", "propose_mining_batch_void"),
        ("governance", "propose_mining_behaviour"),
        ("governance", "propose_mining_behaviour_end"),
        ("governance", "propose_mining_reinstatement"),
        ("governance", "propose_mining_rules"),
        ("governance", "propose_mining_source"),
        ("governance", "propose_operator"),
        ("governance", "propose_operator_removal"),
        ("governance", "propose_parameter"),
        ("governance", "propose_pause"),
        ("governance", "propose_recognition"),
        ("governance", "propose_recognition_end"),
        ("governance", "propose_resume"),
        ("governance", "propose_revocation"),
        ("governance", "propose_role"),
        ("governance", "propose_role_removal"),
        ("governance", "propose_root_void"),
        ("governance", "propose_sale"),
        ("governance", "propose_sale_end"),
        ("governance", "propose_source"),
        ("governance", "propose_source_resume"),
        ("governance", "propose_source_rules"),
        ("governance", "propose_spending"),
        ("governance", "propose_task"),
        ("governance", "propose_task_end"),
        ("governance", "propose_upgrade"),
        ("governance", "vote"),
        ("growth", "certify"),
        ("growth", "drop_rating"),
        ("growth", "rate"),
        ("growth", "report"),
        ("growth", "withdraw_rating"),
        ("iov", "batch_transfer"),
        ("iov", "transfer"),
        ("lockups", "settle"),
        ("mining", "appeal"),
        ("mining", "challenge"),
        ("mining", "post_batch"),
        ("mining", "record"),
        ("mining", "set_weight"),
        ("network", "register_node"),
        ("network", "remove_node"),
        ("network", "rotate_consensus"),
        ("network", "rotate_node"),
        ("network", "update_node"),
        ("platforms", "bind"),
        ("platforms", "claim"),
        ("platforms", "post_migration"),
        ("platforms", "unbind"),
        ("roles", "grant"),
        ("roles", "renounce"),
        ("roles", "revoke"),
        ("sale", "buy"),
        ("sale", "confirm_repayment"),
        ("sale", "deliver"),
        ("sale", "withdraw"),
        ("staking", "bond"),
        ("staking", "delegate"),
        ("staking", "redelegate"),
        ("staking", "retire"),
        ("staking", "set_commission"),
        ("staking", "stand"),
        ("staking", "unbond"),
        ("staking", "undelegate"),
        ("staking", "unjail"),
        ("vehicles", "attest_vin"),
        ("vehicles", "bind"),
        ("vehicles", "grant_access"),
        ("vehicles", "release_vin"),
        ("vehicles", "revoke_access"),
        ("vehicles", "withdraw_vin"),
    ]
    assert sorted(MODULES) == [
        "acceptors",
        "accounts",
        "ads",
        "attributes",
        "contracts",
        "credentials",
        "did",
        "distribution",
        "dividends",
        "gifts",
        "governance",
        "growth",
        "iov",
        "lockups",
        "mining",
        "network",
        "platforms",
        "roles",
        "sale",
        "staking",
        "vehicles",
    ]


def test_every_module_but_governance_can_be_paused():
    assert set(MODULES) - set(PAUSABLE) == {"governance"}


def test_a_view_answers_and_refuses():
    address = address_of(make_key("alice"))
    state = make_state({address: 7})
    assert answer_view(state, MOMENT, "iov", "balance", [address]) == 7
    assert answer_view(state, MOMENT, "iov", "supply", []) == 10**18
    for module, view, arguments, reason in [
        ("nowhere", "balance", [], Reason.UNKNOWN_MODULE),
        ("iov", "nothing", [], Reason.UNKNOWN_CALL),
        ("iov", "balance", [], Reason.BAD_ARGUMENTS),
        ("iov", "balance", [b"short"], Reason.BAD_ARGUMENTS),
    ]:
        with pytest.raises(Rejected) as refusal:
            answer_view(state, MOMENT, module, view, arguments)
        assert refusal.value.reason is reason
