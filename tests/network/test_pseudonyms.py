"""A pseudonym on a real devnet: somebody else pays, and an auditor whom governance authorised learns whose it is."""

import pytest

from node.cli.failures import ExitCode
from tests.network.test_credentials import Party, party

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("identities")]

__all__ = ["party"]


def authorise(party: Party, auditor: str) -> None:
    """By governance, which on this devnet is one operator."""
    for words in (
        ("gov", "propose", "recognition", "auditor", auditor, "--title", "An auditor", "--effective", "60"),
        ("gov", "vote", "1", "yes"),
    ):
        done = party.call(*words, "--from", "op0", "--yes")
        assert done.returncode == 0, done
    assert party.call("dev", "mine", "60").returncode == 0


def test_an_auditor_alone_learns_whose_a_pseudonym_is(party: Party) -> None:
    key = party.run("pseudonym", "auditor-key", "--secret", "secret")["agreementKey"]
    main, shop, auditor = party.create("dev1"), party.create("dev2"), party.create("dev3", "--agreement-key", key)
    which = ("--main", main, "--counterparty", shop, "--secret-of", "dev1")
    derived = party.run("pseudonym", "derive", *which, "--out", "creation.json")
    created = party.run("pseudonym", "create", "creation.json", "--from", "dev9", "--yes")
    assert (created["status"], created["did"]) == ("final", derived["did"])
    proving = ("pseudonym", "prove", *which, "--auditor", auditor, "--purpose", "Case 7", "--by", "dev1")
    assert party.call("did", *proving, "--out", "proof").returncode == ExitCode.FAILED, "nobody has authorised it"
    authorise(party, auditor)
    party.run(*proving, "--out", "proof")
    opened = party.run("pseudonym", "open", "proof", "--as", auditor, "--secret", "secret", "--purpose", "Case 7")
    assert (opened["verdict"], opened["main"], opened["pseudonym"]) == ("proven", main, derived["did"])
