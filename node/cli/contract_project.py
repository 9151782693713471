"""What `carlive contract new` writes: a token, its tests, and how to go on."""

import re
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Final

from node.cli.failures import CommandFailedError

NAME_CHARACTERS_MAX: Final = 40
_NAME: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{NAME_CHARACTERS_MAX - 1}}}", re.ASCII)

_SOURCE: Final = '''"""A token: a fixed supply that its holders pass on."""

from typing import Final

from iov import Address, Contract, Map, Var, call, context, emit, event, init, require, u128, view

BALANCE_TOO_SMALL: Final = 1
AMOUNT_ZERO: Final = 2


@event
class Transferred:
    """Tokens changed hands."""

    sender: Address
    recipient: Address
    amount: u128


class $class_name(Contract):
    """The sum of all balances is the supply, at every moment."""

    name: Var[str]
    supply: Var[u128]
    balances: Map[Address, u128]

    @init
    def create(self, name: str, supply: u128) -> None:
        """Everything belongs to the publisher at first."""
        self.name = name
        self.supply = supply
        self.balances[context.caller] = supply
        emit(Transferred(context.address, context.caller, supply))

    @call
    def transfer(self, recipient: Address, amount: u128) -> None:
        """Give away own tokens."""
        require(amount > 0, AMOUNT_ZERO)
        held = self.balances.get(context.caller, u128(0))
        require(held >= amount, BALANCE_TOO_SMALL)
        self.balances[context.caller] = held - amount
        self.balances[recipient] = self.balances.get(recipient, u128(0)) + amount
        emit(Transferred(context.caller, recipient, amount))

    @view
    def balance_of(self, owner: Address) -> u128:
        """Tokens of an account."""
        return self.balances.get(owner, u128(0))

    @view
    def total_supply(self) -> u128:
        """How many tokens there are."""
        return self.supply
'''

_TESTS: Final = '''"""The rules of the token, checked under CPython."""

import pytest
from $name import AMOUNT_ZERO, BALANCE_TOO_SMALL, $class_name, Transferred

from iov import Address, RevertError, u128
from iov.testing import Chain

SUPPLY = u128(1_000)


class Scene:
    """Alice has everything."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.alice = self.chain.account("alice")
        self.bob = self.chain.account("bob")
        self.token = self.chain.deploy(self.alice, $class_name, "Coin", SUPPLY)

    def transfer(self, sender: Address, recipient: Address, amount: int) -> None:
        """Pass tokens on."""
        self.chain.call(sender, self.token.transfer, recipient, u128(amount))

    def balances(self) -> tuple[int, int]:
        """Of Alice and Bob."""
        alice, bob = (self.chain.view(self.token.balance_of, each) for each in (self.alice, self.bob))
        return int(alice), int(bob)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_publisher_has_everything(scene: Scene) -> None:
    assert scene.balances() == (1_000, 0)
    assert scene.chain.view(scene.token.total_supply) == SUPPLY


def test_a_transfer_moves_tokens_and_says_so(scene: Scene) -> None:
    scene.transfer(scene.alice, scene.bob, 300)
    assert scene.balances() == (700, 300)
    assert scene.chain.events[-1].event == Transferred(scene.alice, scene.bob, u128(300))


@pytest.mark.parametrize(("amount", "code"), [(1_001, BALANCE_TOO_SMALL), (0, AMOUNT_ZERO)])
def test_a_transfer_that_cannot_be(scene: Scene, amount: int, code: int) -> None:
    with pytest.raises(RevertError) as caught:
        scene.transfer(scene.alice, scene.bob, amount)
    assert caught.value.code == code
    assert scene.balances() == (1_000, 0)
'''

_README: Final = """# $name

A token on CarLive Chain. `$name.py` is the contract, `test_$name.py` its tests under CPython.

    carlive contract test .                         # run the tests
    carlive contract check .                        # what every node will check
    carlive contract build .                        # $name.wasm and its interface, $name.json
    carlive contract deploy . Coin 1000 --from dev0  # publish it; prints the address
    carlive contract call ADDRESS transfer dev1 100 --from dev0
    carlive contract view ADDRESS balance_of dev1
    carlive contract events ADDRESS
    carlive contract verify ADDRESS .               # that the address runs this very source
"""

_SETTINGS: Final = """[tool.pytest.ini_options]
testpaths = ["."]
pythonpath = ["."]

[tool.mypy]
strict = true
"""


def write_project(folder: Path) -> list[Path]:
    """Write the project; raises CommandFailedError when the name is none, or something is there already."""
    name = folder.name
    if not _NAME.fullmatch(name) or iskeyword(name):
        raise CommandFailedError(
            f"{name!r} is no name for a contract: lower-case letters, digits and _, at most {NAME_CHARACTERS_MAX}"
        )
    found = find_spec(name)
    if found is not None and found.origin is not None:
        raise CommandFailedError(f"Python has a module {name} already, which tests would get: choose another name")
    if folder.exists() and any(folder.iterdir()):
        raise CommandFailedError(f"{folder} is there already and not empty: choose another name")
    words = {"name": name, "class_name": "".join(part.capitalize() for part in name.split("_"))}
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, text in (
        (f"{name}.py", _SOURCE),
        (f"test_{name}.py", _TESTS),
        ("README.md", _README),
        ("pyproject.toml", _SETTINGS),
    ):
        path = folder / file
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        written.append(path)
    return written
