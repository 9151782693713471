"""What a transaction has created under a number: which one it has, and what is done with it next.

The number is decided when the transaction is executed, so it is read from the events of its receipt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rpc import calls

if TYPE_CHECKING:
    from ledger.transaction import Call
    from rpc.client import Client
    from rpc.models import SendResult

NEXT: Final = "next"
"""Under this name it is shown what to do."""


@dataclass(frozen=True, slots=True)
class Creation:
    """What a call creates."""

    module: str
    event: str
    """Tells of it."""
    field: str
    """Of the event: its number."""
    name: str
    """By which it is shown."""
    following: str
    """Commands to go on with, in which the event's fields stand."""


CREATIONS: Final[Mapping[tuple[str, str], Creation]] = {
    ("ads", "create"): Creation(
        *("ads", "CampaignCreated", "campaign", "campaign"),
        "carlive ads campaign fund {campaign} --amount IOV, then carlive ads campaign submit {campaign}",
    ),
    ("ads", "accept"): Creation(
        *("ads", "OrderAccepted", "order", "order"),
        "carlive ads complete {order} --by DID=KEY --by DID=KEY, once it is delivered",
    ),
    ("ads", "open_channel"): Creation(
        *("ads", "ChannelOpened", "channel", "channel"),
        "carlive ads sign-balance {campaign} {channel} --version 1 --earned IOV --by KEY --file BALANCE, on both sides",
    ),
    ("ads", "complain"): Creation(
        *("ads", "ComplaintFiled", "complaint", "complaint"),
        "carlive ads judge {complaint} VERDICT, by the panel that the next block draws",
    ),
    ("distribution", "post_root"): Creation(
        *("distribution", "RootPosted", "number", "number"),
        "carlive distribution claim {source} BENEFICIARY --in BUILD, once the time to challenge it is over",
    ),
    ("mining", "post_batch"): Creation(
        *("mining", "BatchPosted", "number", "batch"),
        "carlive mining epoch {epoch}, which tells the price once the day is closed",
    ),
    ("sale", "buy"): Creation(
        *("sale", "Bought", "number", "purchase"),
        "carlive sale deliver --sale {sale} --purchase {number}, once the sale is closed",
    ),
    ("sale", "deliver"): Creation(
        *("lockups", "LockupAdded", "number", "lockup"),
        "carlive token locks {account}",
    ),
}
_PROPOSAL: Final = Creation(
    *("governance", "ProposalMade", "id", "proposal"), "carlive gov vote {id} yes, by whoever decides on it"
)
_PROPOSING: Final = "propose_"


def find_creation(module: str, call: str) -> Creation | None:
    """What a call creates under a number; None: nothing."""
    if module == _PROPOSAL.module and call.startswith(_PROPOSING):
        return _PROPOSAL
    return CREATIONS.get((module, call))


def describe_created(client: "Client", sent: "Sequence[Call]", result: "SendResult") -> dict[str, Any]:
    """Number and next step of what a final transaction of one call has created; nothing of any other."""
    if result.status != "final" or len(sent) != 1:
        return {}
    creation = find_creation(sent[0].module, sent[0].call)
    receipt = None if creation is None else client.run(calls.tx_status(result.id)).receipt
    if creation is None or receipt is None:
        return {}
    for event in receipt.events:
        if (event.module, event.name) == (creation.module, creation.event) and isinstance(event.fields, dict):
            return {
                creation.name: event.fields[creation.field],
                NEXT: creation.following.format_map(event.fields),
            }
    return {}
