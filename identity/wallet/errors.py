"""How the wallet refuses: one sentence for people, which never repeats a secret."""


class WalletError(ValueError):
    """A mnemonic, key, path, address or signature is not acceptable; the message says why and never quotes a secret."""
