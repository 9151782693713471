"""Every call that keys of identities sign, whoever sends it: its payload, the purpose it is signed for, and who signs.

Commands build a payload, keys sign it here or elsewhere, and one path sends it (did_signing.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from identity.signing import SigningPurpose
from vm.native import (
    ads_channels,
    ads_orders,
    ads_records,
    attributes,
    did,
    distribution,
    growth,
    growth_records,
    mining,
    mining_records,
    platforms,
    roles,
    sale,
    vehicle_records,
    vehicles,
)
from vm.native.did import SignedCall
from vm.native.registry import list_fields


@dataclass(frozen=True, slots=True)
class CallToSign:
    """A row of the table."""

    module: str
    call: str
    rule: SignedCall
    signers: str
    """Who signs, in words."""

    @property
    def name(self) -> str:
        """As people and files name it."""
        return f"{self.module}.{self.call}"

    def list_more_types(self) -> list[Any]:
        """Types of what the call holds between payload and signatures."""
        return [hint for _, hint in list_fields(self.rule.arguments)][1:-1]


_DID: Final = did.SIGNED_CALLS
_ATTRIBUTES: Final = attributes.SIGNED_CALLS
_HOLDER: Final = "the authority over the holder"
_CASHIER: Final = "the sale's cashier"
_OWNER: Final = "the vehicle's owner"
_ROWS: Final = (
    CallToSign("did", "create", _DID["create"], "the authority it begins with, and keys of its own"),
    CallToSign("did", "update", _DID["update"], "its authority"),
    CallToSign("did", "rotate", _DID["rotate"], "its authority, the new authority, and new keys"),
    CallToSign("did", "recover", _DID["recover"], "its recovery keys"),
    CallToSign("did", "transfer", _DID["transfer"], "the present owner and the new one"),
    CallToSign("did", "deactivate", _DID["deactivate"], "its authority, and the keys it has committed to"),
    CallToSign("did", "request_recovery", _DID["request_recovery"], "enough of its guardians, and the new keys"),
    CallToSign("did", "object_to_recovery", _DID["object_to_recovery"], "its authority"),
    CallToSign("did", "link_account", _DID["link_account"], "its authority, and the account unless that sends it"),
    CallToSign("did", "unlink_account", _DID["unlink_account"], "its authority"),
    CallToSign("attributes", "set_tag", _ATTRIBUTES["set_tag"], _HOLDER),
    CallToSign("attributes", "remove_tag", _ATTRIBUTES["remove_tag"], _HOLDER),
    CallToSign("attributes", "request", _ATTRIBUTES["request"], "the authority over the verifier"),
    CallToSign("attributes", "approve", _ATTRIBUTES["approve"], _HOLDER),
    CallToSign("attributes", "refuse", _ATTRIBUTES["refuse"], _HOLDER),
    CallToSign("attributes", "withdraw_consent", _ATTRIBUTES["withdraw_consent"], _HOLDER),
    CallToSign(
        "vehicles",
        "attest_vin",
        SignedCall(vehicles.AttestVin, vehicle_records.VinPayload, SigningPurpose.VIN_ATTESTATION),
        "the attester",
    ),
    CallToSign(
        "vehicles",
        "withdraw_vin",
        SignedCall(vehicles.WithdrawVin, vehicle_records.VinWithdrawalPayload, SigningPurpose.VIN_WITHDRAWAL),
        "the attester that said so",
    ),
    CallToSign(
        "vehicles",
        "bind",
        SignedCall(vehicles.Bind, vehicle_records.BindingPayload, SigningPurpose.VEHICLE_BINDING),
        "the vehicle's owner, and its own keys",
    ),
    CallToSign(
        "vehicles",
        "grant_access",
        SignedCall(vehicles.GrantAccess, vehicle_records.GrantPayload, SigningPurpose.VEHICLE_GRANT),
        _OWNER,
    ),
    CallToSign(
        "vehicles",
        "revoke_access",
        SignedCall(vehicles.RevokeAccess, vehicle_records.RevocationPayload, SigningPurpose.VEHICLE_REVOCATION),
        _OWNER,
    ),
    CallToSign(
        "platforms",
        "bind",
        SignedCall(platforms.Bind, platforms.BindingPayload, SigningPurpose.PLATFORM_BINDING),
        "the platform and the person",
    ),
    CallToSign(
        "platforms",
        "unbind",
        SignedCall(platforms.Unbind, platforms.UnbindingPayload, SigningPurpose.PLATFORM_UNBINDING),
        "the platform or the person, as the payload says",
    ),
    CallToSign(
        "platforms",
        "post_migration",
        SignedCall(platforms.PostMigration, platforms.MigrationPayload, SigningPurpose.PLATFORM_MIGRATION),
        "the platform",
    ),
    CallToSign(
        "platforms",
        "claim",
        SignedCall(platforms.Claim, platforms.ClaimPayload, SigningPurpose.PLATFORM_CLAIM),
        "the person; the account's claim key has signed",
    ),
    CallToSign(
        "roles", "grant", SignedCall(roles.GrantRole, roles.GrantPayload, SigningPurpose.ROLE_GRANT), "the issuer"
    ),
    CallToSign(
        "roles",
        "revoke",
        SignedCall(roles.RevokeRole, roles.EndPayload, SigningPurpose.ROLE_REVOKE),
        "the issuer that granted it",
    ),
    CallToSign(
        "roles",
        "renounce",
        SignedCall(roles.RenounceRole, roles.EndPayload, SigningPurpose.ROLE_RENOUNCE),
        "who has the role",
    ),
    CallToSign(
        "growth",
        "report",
        SignedCall(growth.Report, growth_records.ReportPayload, SigningPurpose.GROWTH_REPORT),
        "the reporter",
    ),
    CallToSign(
        "distribution",
        "post_root",
        SignedCall(distribution.PostRoot, distribution.RootPayload, SigningPurpose.DISTRIBUTION_ROOT),
        "enough attesters of the source",
    ),
    CallToSign(
        "distribution",
        "void_root",
        SignedCall(distribution.VoidRoot, distribution.VoidPayload, SigningPurpose.DISTRIBUTION_VOID),
        "enough attesters of the source",
    ),
    CallToSign(
        "distribution",
        "set_payout",
        SignedCall(distribution.SetPayout, distribution.PayoutPayload, SigningPurpose.DISTRIBUTION_PAYOUT),
        "the authority over the identity",
    ),
    CallToSign("sale", "buy", SignedCall(sale.Buy, sale.PaymentPayload, SigningPurpose.SALE_PAYMENT), _CASHIER),
    CallToSign(
        "sale",
        "withdraw",
        SignedCall(sale.Withdraw, sale.WithdrawalPayload, SigningPurpose.SALE_WITHDRAWAL),
        "the buyer",
    ),
    CallToSign(
        "sale",
        "confirm_repayment",
        SignedCall(sale.ConfirmRepayment, sale.RepaymentPayload, SigningPurpose.SALE_REPAYMENT),
        _CASHIER,
    ),
    CallToSign(
        "mining",
        "post_batch",
        SignedCall(mining.PostBatch, mining_records.BatchPayload, SigningPurpose.MINING_BATCH),
        "all attesters it names",
    ),
    CallToSign(
        "mining",
        "record",
        SignedCall(mining.Record, mining_records.RecordPayload, SigningPurpose.MINING_RECORD),
        "the user, and the vehicle's own keys",
    ),
    CallToSign(
        "mining",
        "set_weight",
        SignedCall(mining.SetWeight, mining_records.WeightPayload, SigningPurpose.MINING_WEIGHT),
        "all attesters it names",
    ),
    CallToSign(
        "mining",
        "appeal",
        SignedCall(mining.Appeal, mining_records.AppealPayload, SigningPurpose.MINING_APPEAL),
        "the authority over the identity",
    ),
    CallToSign(
        "ads",
        "accept",
        SignedCall(ads_orders.Accept, ads_records.AcceptancePayload, SigningPurpose.ADS_ACCEPTANCE),
        "user, publisher and the campaign's matcher, where it has one",
    ),
    CallToSign(
        "ads",
        "complete",
        SignedCall(ads_orders.Complete, ads_records.CompletionPayload, SigningPurpose.ADS_COMPLETION),
        "user and publisher",
    ),
    CallToSign(
        "ads",
        "open_channel",
        SignedCall(ads_channels.OpenChannel, ads_records.ChannelPayload, SigningPurpose.ADS_CHANNEL),
        "the campaign's offerer, and the counterparty",
    ),
)

SIGNED_CALLS: Final[Mapping[str, CallToSign]] = {row.name: row for row in _ROWS}
