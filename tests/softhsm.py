"""SoftHSM2, the software token: one set of tokens for each process that runs tests."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType as TokenKeyType

from identity.keys import PrivateKey
from node.pkcs11_token import Token, TokenPlace, restart_library

PIN = "482915"
SECURITY_OFFICER_PIN = "77777777"
CONFIGURATION_VARIABLE = "SOFTHSM2_CONF"
REQUIRED_VARIABLE = "CARLIVE_REQUIRE_SOFTHSM"
"""Set by .ci/run: a test that misses SoftHSM2 fails."""
MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
)
"""Debian, Fedora, built from source, Homebrew."""


@dataclass
class SoftHsm:
    """Where its tokens lie; new ones are made by its own tool, as an operator does."""

    module: Path
    made: int = 0

    def make_token(self) -> TokenPlace:
        """A fresh token with a label of its own."""
        self.made += 1
        label = f"token {self.made}"
        words = ["--init-token", "--free", "--label", label, "--so-pin", SECURITY_OFFICER_PIN, "--pin", PIN]
        subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
        self.restart()
        return TokenPlace(self.module, label, PIN)

    def restart(self) -> None:
        """The module reads its directory only when it starts."""
        restart_library(self.module)


def open_softhsm(directory: Path) -> SoftHsm:
    """Set it up for this process and its children; skips where it is not installed and not required."""
    module = next((path for path in MODULES if path.exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        reason = "SoftHSM2 is not installed (on Debian: apt-get install softhsm2)"
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(reason)
        pytest.skip(reason)  # a machine of a newcomer; .ci/run sets the variable, and there it fails instead
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\n")
    os.environ[CONFIGURATION_VARIABLE] = str(configuration)
    return SoftHsm(module)


def import_ed25519_key(place: TokenPlace, label: str, key: PrivateKey) -> None:
    """Put a key that is in a genesis file already into a token; operators make theirs in the token."""
    facts = {
        Attribute.KEY_TYPE: TokenKeyType.EC_EDWARDS,
        Attribute.EC_PARAMS: bytes.fromhex("06032b6570"),
        Attribute.LABEL: label,
        Attribute.ID: b"imported",
        Attribute.TOKEN: True,
    }
    point = {Attribute.EC_POINT: b"\x04\x20" + key.public_key.key}
    with Token(place, is_writable=True) as token:
        session = token._session
        session.create_object({**facts, **point, Attribute.CLASS: ObjectClass.PUBLIC_KEY})
        secret = {Attribute.VALUE: key.secret, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        session.create_object({**facts, **secret, Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.SIGN: True})
