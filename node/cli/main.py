"""The command `carlive`."""

import click

from node.cli.group import LazyGroup

ENTRIES = {
    "devnet": ("node.cli.devnet_command:devnet", "Run a network of super nodes on this machine, for development."),
    "init": ("node.cli.init_command:init", "Make the keys and configuration of a node."),
    "genesis": ("node.cli.genesis_commands:genesis", "Make and check the genesis file that a network shares."),
    "start": ("node.cli.start_command:start", "Run a node."),
    "status": ("node.cli.status_command:status", "Show how a node is doing."),
    "node": ("node.cli.node_commands:node", "Ask a running node about itself, maintain a stopped one."),
    "keys": ("node.cli.keys_commands:keys", "Make, import and list account keys."),
    "wallet": ("node.cli.wallet_commands:wallet", "One mnemonic for IOV, Bitcoin, Ethereum, EOS and Qtum."),
    "signer": ("node.cli.signer_commands:signer", "Keep a consensus key in a process apart from its node."),
    "tx": ("node.cli.tx_commands:tx", "Sign and send transactions."),
    "audit": ("node.cli.audit_command:audit", "Execute the whole chain again and account for every grain."),
    "verify": ("node.cli.verify_commands:verify", "Check accounts, receipts and headers without trusting a node."),
    "contract": (
        "node.cli.contract_commands:contract",
        "Write, check, publish, call and look at contracts.",
    ),
    "stake": ("node.cli.stake_commands:stake", "Stand for election, bond and delegate IOV, and see who stands."),
    "gov": ("node.cli.gov_commands:gov", "Propose changes, vote on them, and see what was decided."),
    "did": ("node.cli.did_commands:did", "Make and manage identities that their holders rule."),
    "vehicle": ("node.cli.vehicle_commands:vehicle", "Attest vehicles' numbers, bind owners, let others use vehicles."),
    "platform": ("node.cli.platform_commands:platform", "Bind accounts on platforms to persons."),
    "role": ("node.cli.role_commands:role", "Grant roles to identities, take them back, and see who has which."),
    "growth": ("node.cli.growth_commands:growth", "See growth tasks and progress, report, rate and certify."),
    "distribution": (
        "node.cli.distribution_commands:distribution",
        "Pay millions by roots: look at sources; build, check and post roots; claim.",
    ),
    "token": ("node.cli.token_commands:token", "Look at locked coins, and collect those that were revoked."),
    "dividend": (
        "node.cli.dividend_commands:dividend",
        "See dividends that governance has declared, make their records, take back what is left.",
    ),
    "sale": ("node.cli.sale_commands:sale", "Buy in the sale of IOV, and attest payments as its cashier."),
    "gift": ("node.cli.gift_commands:gift", "Give coins with a message, or by a link."),
    "acceptor": ("node.cli.acceptor_commands:acceptor", "See who exchanges IOV, or apply to be listed."),
    "mining": ("node.cli.mining_commands:mining", "Show, build and simulate days of mining."),
    "ads": ("node.cli.ads_commands:ads", "Run campaigns, match and deliver advertisements, and see results."),
    "operator": ("node.cli.operator_commands:operator", "Register the nodes of an admitted operator."),
    "dev": ("node.cli.dev_commands:dev", "Make blocks and epochs pass on a devnet."),
    "query": ("node.cli.query_commands:query", "Look up accounts, transactions, blocks and the chain."),
}

cli = LazyGroup(
    ENTRIES,
    name="carlive",
    help="CarLive Chain: run nodes, keep keys, send transactions.",
    epilog=(
        "Exit codes: 0 done, 1 failed or not found, 2 wrong use or configuration, 3 node not reachable, "
        "4 refused by the chain, 5 not final in time, 70 fault in carlive, 130 interrupted."
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
click.version_option(package_name="carlive", prog_name="carlive")(cli)


def main() -> None:
    """Entry point."""
    cli.main()


if __name__ == "__main__":
    main()
