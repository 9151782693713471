import pytest

from identity.wallet.derivation_path import HARDENED, PATH_DEPTH_MAX, format_path, parse_path
from identity.wallet.errors import WalletError


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("m", ()),
        ("m/0", (0,)),
        ("m/44'/0'/2147483647'/1/2147483647", (HARDENED + 44, HARDENED, 2 * HARDENED - 1, 1, HARDENED - 1)),
    ],
)
def test_a_path_is_read_and_written(text: str, path: tuple[int, ...]) -> None:
    assert parse_path(text) == path
    assert format_path(path) == text


def test_the_letter_h_is_an_apostrophe() -> None:
    assert parse_path("m/44h/60H/0'") == parse_path("m/44'/60'/0'")


@pytest.mark.parametrize(
    "text",
    ["", "44'/0'", "M/0", "m/", "m//0", "m/-1", "m/00", "m/+1", "m/2147483648", "m/1''", "m/\u0661", "m/0 ", "m/a"],
)
def test_anything_else_is_no_path(text: str) -> None:
    with pytest.raises(WalletError):
        parse_path(text)


def test_a_path_is_as_deep_as_its_depth_can_be_written() -> None:
    deepest = "m" + "/0" * PATH_DEPTH_MAX
    assert len(parse_path(deepest)) == PATH_DEPTH_MAX
    with pytest.raises(WalletError, match="at most 255 steps"):
        parse_path(deepest + "/0")
