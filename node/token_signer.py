"""The consensus key in a PKCS#11 token. Its calls block, so they have a thread; a lost token is reopened."""

import asyncio
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

from identity.keys import KeyType
from ledger.primitives import ConsensusKey, Signature
from node.pkcs11_token import PinRefusedError, Token, TokenError, TokenKey, TokenPlace, restart_library
from node.signer import SignedSubject, SignerUnavailableError

SIGN_SECONDS_MAX: Final = 2.0  # a network-attached module takes 0.1; by then the round is nearly over anyway


class TokenSigner:
    """Signs with one key of one token."""

    def __init__(self, place: TokenPlace, label: str) -> None:
        """Open the token and find the key; raises TokenError."""
        self._place = place
        self._label = label
        self._token: Token | None = Token(place)
        try:
            self._key = self._find_key(self._token)
        except TokenError:
            self._token.close()
            raise
        self._public_key = ConsensusKey(self._key.public_key.key)
        self._fault: PinRefusedError | None = None
        self._thread = ThreadPoolExecutor(1, "pkcs11")

    @property
    def public_key(self) -> ConsensusKey:
        """The key of this node's seat."""
        return self._public_key

    async def sign(self, subject: SignedSubject, message: bytes) -> Signature:
        """An Ed25519 signature; raises SignerUnavailableError."""
        return await self.sign_message(message)

    async def sign_message(self, message: bytes) -> Signature:
        """An Ed25519 signature; raises SignerUnavailableError."""
        try:
            async with asyncio.timeout(SIGN_SECONDS_MAX):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._sign_now, message)
        except TokenError as error:
            raise SignerUnavailableError(str(error)) from None
        except TimeoutError:
            raise SignerUnavailableError(f"the token {self._place.label} does not answer") from None

    def close(self) -> None:
        """Log out, once the call that is going on has ended; one that does not end is left behind."""
        done = self._thread.submit(self._drop)
        self._thread.shutdown(wait=False)
        wait((done,), SIGN_SECONDS_MAX)

    def _sign_now(self, message: bytes) -> Signature:
        if self._fault is not None:
            raise self._fault
        if self._token is None:
            self._reopen()
        try:
            return Signature(self._key.sign(message))
        except TokenError:
            self._drop()
            raise

    def _reopen(self) -> None:
        restart_library(self._place.module)
        try:
            token = Token(self._place)
        except PinRefusedError as error:
            self._fault = error
            raise
        try:
            key = self._find_key(token)
            if key.public_key.key != self._public_key:
                raise TokenError(f"{self._label} of {self._place.label} is another key than before")
        except TokenError:
            token.close()
            raise
        self._token, self._key = token, key

    def _find_key(self, token: Token) -> TokenKey:
        key = token.get_key(self._label)
        if key.key_type is not KeyType.ED25519:
            raise TokenError(f"{self._label} is a {key.key_type.name} key, but nodes vote with ED25519")
        return key

    def _drop(self) -> None:
        if self._token is not None:
            self._token.close()
            self._token = None
