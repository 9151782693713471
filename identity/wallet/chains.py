"""One seed, many chains: which path each account has, how its address looks and how it signs messages.

| chain      | curve, derivation    | path, A account, I index | address                         |
|------------|----------------------|--------------------------|---------------------------------|
| iov        | ed25519, SLIP-0010   | m/44'/234'/A'/0'/I'      | iov1…, testnet iovt1…           |
| btc        | secp256k1, BIP-32    | m/84'/0'/A'/0/I          | bc1q…, P2WPKH (BIP-84)          |
| btc-legacy | secp256k1, BIP-32    | m/44'/0'/A'/0/I          | 1…, P2PKH                       |
| eth        | secp256k1, BIP-32    | m/44'/60'/A'/0/I         | 0x…, EIP-55                     |
| eos        | secp256k1, BIP-32    | m/44'/194'/A'/0/I        | PUB_K1_…, and EOS…              |
| qtum       | secp256k1, BIP-32    | m/44'/2301'/A'/0/I       | Q…, P2PKH                       |

Coin types are those of SLIP-0044. On test networks Bitcoin and Qtum have coin type 1, as SLIP-0044 wants; the others
keep theirs, as their wallets do. SLIP-0044 gives the symbol IOV the number 234; it was registered for another chain of
that symbol, whose wallets used paths of three steps (m/44'/234'/I') or another curve, so no key is ever shared with it,
and wallets that look a path up by symbol find this one. Qtum Core has used 88 instead of the registered 2301.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import KeyType, PrivateKey, PublicKey
from identity.wallet.bip32 import ExtendedKey, compute_master_key, derive_path, drop_secret
from identity.wallet.bitcoin import (
    BITCOIN,
    BITCOIN_TESTNET,
    AddressKind,
    BitcoinNetwork,
    format_p2pkh,
    format_p2wpkh,
    sign_bitcoin_message,
    verify_bitcoin_message,
)
from identity.wallet.derivation_path import HARDENED, DerivationPath
from identity.wallet.eos import format_eos_public_key, sign_eos_message, verify_eos_message
from identity.wallet.errors import WalletError
from identity.wallet.ethereum import (
    compute_ethereum_address,
    format_ethereum_address,
    sign_ethereum_message,
    verify_ethereum_message,
)
from identity.wallet.iov import sign_iov_message, verify_iov_message
from identity.wallet.qtum import QTUM, QTUM_TESTNET
from identity.wallet.slip10 import derive_ed25519

MESSAGE_BYTES_MAX: Final = 65_536  # what people sign by hand; beyond it a hash should be signed
_PURPOSE: Final = 44
_WITNESS_PURPOSE: Final = 84
_TESTNET_COIN_TYPE: Final = 1


class Chain(Enum):
    """A chain, and for Bitcoin a kind of address; the value is its name on the command line."""

    IOV = "iov"
    BTC = "btc"
    BTC_LEGACY = "btc-legacy"
    ETH = "eth"
    EOS = "eos"
    QTUM = "qtum"


COIN_TYPES: Final[Mapping[Chain, int]] = {
    Chain.IOV: 234,
    Chain.BTC: 0,
    Chain.BTC_LEGACY: 0,
    Chain.ETH: 60,
    Chain.EOS: 194,
    Chain.QTUM: 2301,
}
_BITCOIN_LIKE: Final[Mapping[Chain, tuple[BitcoinNetwork, BitcoinNetwork, AddressKind]]] = {
    Chain.BTC: (BITCOIN, BITCOIN_TESTNET, AddressKind.P2WPKH),
    Chain.BTC_LEGACY: (BITCOIN, BITCOIN_TESTNET, AddressKind.P2PKH),
    Chain.QTUM: (QTUM, QTUM_TESTNET, AddressKind.P2PKH),
}
"""Main network, test network and kind of address."""


@dataclass(frozen=True, slots=True)
class WalletAccount:
    """An account derived from the seed."""

    chain: Chain
    path: DerivationPath
    address: str
    private_key: PrivateKey


def compute_account_path(chain: Chain, network: NetworkKind, account: int, index: int) -> DerivationPath:
    """The path in the table above; raises WalletError for numbers from 2^31."""
    if not (0 <= account < HARDENED and 0 <= index < HARDENED):
        raise WalletError(f"account and index are numbers from 0 to {HARDENED - 1}")
    if chain is Chain.IOV:
        return (*_compute_prefix(chain, network, account), HARDENED, HARDENED + index)
    return (*_compute_prefix(chain, network, account), 0, index)


def derive_account(seed: bytes, chain: Chain, network: NetworkKind, account: int, index: int) -> WalletAccount:
    """The key and address at the chain's path; raises WalletError."""
    path = compute_account_path(chain, network, account, index)
    if chain is Chain.IOV:
        private_key = derive_ed25519(seed, path).private_key
    else:
        derived = derive_path(compute_master_key(seed), path).private_key
        assert derived is not None, "the master key has a secret, so its children have one"
        private_key = derived
    return WalletAccount(chain, path, format_chain_address(chain, private_key.public_key, network), private_key)


def derive_account_public_key(seed: bytes, chain: Chain, network: NetworkKind, account: int) -> ExtendedKey:
    """The public key above all addresses of an account, for a wallet that only watches; raises WalletError."""
    if chain is Chain.IOV:
        raise WalletError("on ed25519 no public key leads to others: list the addresses instead")
    compute_account_path(chain, network, account, 0)
    return drop_secret(derive_path(compute_master_key(seed), _compute_prefix(chain, network, account)))


def format_chain_address(chain: Chain, public_key: PublicKey, network: NetworkKind) -> str:
    """The address of a key; raises WalletError when the chain knows no such keys."""
    if chain is Chain.IOV:
        return format_address(compute_key_address(public_key), network)
    _check_is_secp256k1(chain, public_key)
    if chain is Chain.ETH:
        return format_ethereum_address(compute_ethereum_address(public_key.key))
    if chain is Chain.EOS:
        return format_eos_public_key(public_key.key)
    kind = _BITCOIN_LIKE[chain][2]
    format_kind = format_p2wpkh if kind is AddressKind.P2WPKH else format_p2pkh
    return format_kind(public_key.key, get_bitcoin_network(chain, network))


def sign_message(chain: Chain, private_key: PrivateKey, message: bytes, network: NetworkKind) -> str:
    """The signature in the chain's own form; raises WalletError."""
    if len(message) > MESSAGE_BYTES_MAX:
        raise WalletError(f"a message has at most {MESSAGE_BYTES_MAX} bytes, not {len(message)}")
    if chain is Chain.IOV:
        return sign_iov_message(private_key, message)
    _check_is_secp256k1(chain, private_key.public_key)
    if chain is Chain.ETH:
        return sign_ethereum_message(private_key, message)
    if chain is Chain.EOS:
        return sign_eos_message(private_key, message)
    return sign_bitcoin_message(private_key, message, get_bitcoin_network(chain, network), _BITCOIN_LIKE[chain][2])


def verify_message(chain: Chain, address: str, message: bytes, signature: str, network: NetworkKind) -> bool:
    """Whether the owner of the address, of any kind the chain has, signed the message; raises WalletError."""
    if len(message) > MESSAGE_BYTES_MAX:
        raise WalletError(f"a message has at most {MESSAGE_BYTES_MAX} bytes, not {len(message)}")
    if chain is Chain.IOV:
        return verify_iov_message(address, message, signature, network)
    if chain is Chain.ETH:
        return verify_ethereum_message(address, message, signature)
    if chain is Chain.EOS:
        return verify_eos_message(address, message, signature)
    return verify_bitcoin_message(address, message, signature, get_bitcoin_network(chain, network))


def get_bitcoin_network(chain: Chain, network: NetworkKind) -> BitcoinNetwork:
    """The numbers of a chain of Bitcoin's kind; raises WalletError for other chains."""
    if chain not in _BITCOIN_LIKE:
        raise WalletError(f"{chain.value} is no chain of Bitcoin's kind")
    main, test, _ = _BITCOIN_LIKE[chain]
    return main if network is NetworkKind.MAINNET else test


def _compute_prefix(chain: Chain, network: NetworkKind, account: int) -> DerivationPath:
    """Purpose, coin type and account."""
    purpose = _WITNESS_PURPOSE if chain is Chain.BTC else _PURPOSE
    is_test = chain in _BITCOIN_LIKE and network is not NetworkKind.MAINNET
    coin_type = _TESTNET_COIN_TYPE if is_test else COIN_TYPES[chain]
    return (HARDENED + purpose, HARDENED + coin_type, HARDENED + account)


def _check_is_secp256k1(chain: Chain, public_key: PublicKey) -> None:
    if public_key.key_type is not KeyType.SECP256K1:
        raise WalletError(f"{chain.value} has secp256k1 keys, and this one is {public_key.key_type.name.lower()}")
