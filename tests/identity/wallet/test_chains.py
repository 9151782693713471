import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import NetworkKind
from identity.keys import KeyType, PrivateKey
from identity.wallet.bip32 import derive_path, format_extended_key, parse_extended_key
from identity.wallet.bitcoin import BITCOIN, format_p2wpkh, format_wif
from identity.wallet.chains import (
    COIN_TYPES,
    MESSAGE_BYTES_MAX,
    Chain,
    compute_account_path,
    derive_account,
    derive_account_public_key,
    format_chain_address,
    get_bitcoin_network,
    sign_message,
    verify_message,
)
from identity.wallet.derivation_path import HARDENED, format_path, parse_path
from identity.wallet.errors import WalletError
from identity.wallet.mnemonic import compute_seed
from tests.identity.wallet.vectors import load_vectors

BIP84 = load_vectors("bip84_p2wpkh")
SEED = compute_seed(BIP84["mnemonic"])
MAINNET, TESTNET, DEVNET = NetworkKind.MAINNET, NetworkKind.TESTNET, NetworkKind.DEVNET


def test_coin_types_are_those_registered_for_the_symbols() -> None:
    registered = {symbol: number for number, symbol, _ in load_vectors("slip0044_coin_types")["coin_types"]}
    assert {chain.value.removesuffix("-legacy").upper(): number for chain, number in COIN_TYPES.items()} == {
        symbol: registered[symbol] for symbol in ("IOV", "BTC", "ETH", "EOS", "QTUM")
    }


@pytest.mark.parametrize("case", [case for case in BIP84["addresses"] if case["path"].startswith("m/84'/0'/0'/0/")])
def test_bip_84(case: dict[str, Any]) -> None:
    index = parse_path(case["path"])[-1]
    account = derive_account(SEED, Chain.BTC, MAINNET, 0, index)
    assert {
        "path": format_path(account.path),
        "wif": format_wif(account.private_key, BITCOIN),
        "public_key": account.private_key.public_key.key.hex(),
        "address": account.address,
    } == case


def test_the_first_accounts_of_a_known_mnemonic() -> None:
    """Those of other chains are what other wallets show for these words; iov's is pinned."""
    first = {chain: derive_account(SEED, chain, MAINNET, 0, 0) for chain in Chain}
    assert {chain: (format_path(each.path), each.address) for chain, each in first.items()} == {
        Chain.IOV: ("m/44'/234'/0'/0'/0'", "iov1fg44v6q67jndddvln7gj8yyn25w7w0pek677vf"),
        Chain.BTC: ("m/84'/0'/0'/0/0", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"),
        Chain.BTC_LEGACY: ("m/44'/0'/0'/0/0", "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA"),
        Chain.ETH: ("m/44'/60'/0'/0/0", "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"),
        Chain.EOS: ("m/44'/194'/0'/0/0", "PUB_K1_6zpSNY1YoLxNt2VsvJjoDfBueU6xC1M1ERJw1UoekL1NK2aD4t"),
        Chain.QTUM: ("m/44'/2301'/0'/0/0", "QXykR884CoPkbYHCFZ68bNVTMRvicWAFq2"),
    }


def test_on_test_networks_bitcoins_kind_has_coin_type_1_and_the_others_keep_theirs() -> None:
    paths = {chain: format_path(compute_account_path(chain, TESTNET, 2, 3)) for chain in Chain}
    assert paths == {
        Chain.IOV: "m/44'/234'/2'/0'/3'",
        Chain.BTC: "m/84'/1'/2'/0/3",
        Chain.BTC_LEGACY: "m/44'/1'/2'/0/3",
        Chain.ETH: "m/44'/60'/2'/0/3",
        Chain.EOS: "m/44'/194'/2'/0/3",
        Chain.QTUM: "m/44'/1'/2'/0/3",
    }
    assert derive_account(SEED, Chain.BTC, TESTNET, 0, 0).address == "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl"
    assert derive_account(SEED, Chain.BTC_LEGACY, DEVNET, 0, 0).address == "mkpZhYtJu2r87Js3pDiWJDmPte2NRZ8bJV"


@pytest.mark.parametrize(("account", "index"), [(HARDENED, 0), (0, HARDENED), (-1, 0), (0, -1)])
def test_numbers_that_a_path_cannot_hold_are_refused(account: int, index: int) -> None:
    with pytest.raises(WalletError, match="from 0 to 2147483647"):
        derive_account(SEED, Chain.ETH, MAINNET, account, index)


@pytest.mark.parametrize("network", NetworkKind)
@pytest.mark.parametrize("chain", Chain)
def test_every_account_signs_for_its_address_alone(chain: Chain, network: NetworkKind) -> None:
    first, second = (derive_account(SEED, chain, network, 0, index) for index in (0, 1))
    signature = sign_message(chain, first.private_key, "Grüße".encode(), network)
    assert verify_message(chain, first.address, "Grüße".encode(), signature, network)
    assert not verify_message(chain, first.address, b"Gruesse", signature, network)
    assert not verify_message(chain, second.address, "Grüße".encode(), signature, network)


@pytest.mark.parametrize("chain", Chain)
def test_a_message_has_a_limit(chain: Chain) -> None:
    account = derive_account(SEED, chain, MAINNET, 0, 0)
    longest = b"m" * MESSAGE_BYTES_MAX
    signature = sign_message(chain, account.private_key, longest, MAINNET)
    assert verify_message(chain, account.address, longest, signature, MAINNET)
    with pytest.raises(WalletError, match="at most 65536 bytes"):
        sign_message(chain, account.private_key, longest + b"m", MAINNET)
    with pytest.raises(WalletError, match="at most 65536 bytes"):
        verify_message(chain, account.address, longest + b"m", signature, MAINNET)


def test_the_public_key_of_an_account_leads_to_its_addresses() -> None:
    watched = parse_extended_key(format_extended_key(derive_account_public_key(SEED, Chain.BTC, MAINNET, 0)))
    assert watched.private_key is None
    addresses = [format_p2wpkh(derive_path(watched, (0, index)).public_key, BITCOIN) for index in range(3)]
    assert addresses == [derive_account(SEED, Chain.BTC, MAINNET, 0, index).address for index in range(3)]


def test_iov_has_no_such_public_key() -> None:
    with pytest.raises(WalletError, match="no public key leads to others"):
        derive_account_public_key(SEED, Chain.IOV, MAINNET, 0)


@pytest.mark.parametrize("chain", [chain for chain in Chain if chain is not Chain.IOV])
def test_a_key_on_another_curve_has_no_address_and_signs_nothing(chain: Chain) -> None:
    private_key = PrivateKey(KeyType.ED25519, b"\x07" * 32)
    with pytest.raises(WalletError, match="secp256k1 keys, and this one is ed25519"):
        format_chain_address(chain, private_key.public_key, MAINNET)
    with pytest.raises(WalletError, match="secp256k1 keys, and this one is ed25519"):
        sign_message(chain, private_key, b"", MAINNET)


@pytest.mark.parametrize("chain", [Chain.IOV, Chain.ETH, Chain.EOS])
def test_other_chains_are_not_of_bitcoins_kind(chain: Chain) -> None:
    with pytest.raises(WalletError, match="no chain of Bitcoin's kind"):
        get_bitcoin_network(chain, MAINNET)


_SIGNATURES = [
    sign_message(chain, derive_account(SEED, chain, MAINNET, 0, 0).private_key, b"", MAINNET) for chain in Chain
]
_ADDRESSES = [derive_account(SEED, chain, MAINNET, 0, 0).address for chain in Chain]


@given(
    st.sampled_from(Chain),
    st.sampled_from(_ADDRESSES) | st.text(max_size=130),
    st.sampled_from(_SIGNATURES) | st.text(max_size=200) | st.binary(max_size=70).map(lambda each: "0x" + each.hex()),
    st.binary(min_size=1, max_size=40),
)
def test_whatever_is_verified_the_answer_is_no_or_why_not(
    chain: Chain, address: str, signature: str, message: bytes
) -> None:
    with contextlib.suppress(WalletError):
        assert verify_message(chain, address, message, signature, MAINNET) is False


def test_an_account_does_not_show_its_secret() -> None:
    account = derive_account(SEED, Chain.ETH, MAINNET, 0, 0)
    assert account.private_key.secret.hex() not in repr(account)
    assert "<secret>" in repr(account)
