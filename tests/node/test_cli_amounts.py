import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.primitives import SUPPLY_GRAINS
from node.cli.amounts import format_iov, format_percent, parse_iov, parse_percent
from node.cli.failures import CommandFailedError


@pytest.mark.parametrize(
    ("text", "grains"),
    [
        ("1", 100_000_000),
        ("1.5", 150_000_000),
        ("0.00000001", 1),
        ("10000000000", SUPPLY_GRAINS),
        ("0.10", 10_000_000),
        ("123.45678901", 12_345_678_901),
    ],
)
def test_iov_to_grains(text: str, grains: int) -> None:
    assert parse_iov(text) == grains


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.0",
        "-1",
        "+1",
        "1.",
        ".5",
        "1e3",
        "1,5",
        "01",
        "1.123456789",
        "10000000000.00000001",
        " 1",
        "1 ",
        "NaN",
        "0x10",
        "1_000",
        "١",
        "1.5 IOV",
        "99999999999",
        "1\n",
    ],
)
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(CommandFailedError):
        parse_iov(text)


@given(st.integers(min_value=1, max_value=SUPPLY_GRAINS))
def test_every_amount_survives_its_text(grains: int) -> None:
    assert parse_iov(format_iov(grains)) == grains


def test_no_needless_zeros() -> None:
    assert [format_iov(grains) for grains in (0, 1, 150_000_000, 100_000_000)] == ["0", "0.00000001", "1.5", "1"]


@pytest.mark.parametrize(
    ("text", "bps"), [("0", 0), ("5", 500), ("5.2", 520), ("5.25", 525), ("100", 10_000), ("7%", 700)]
)
def test_percent_to_basis_points(text: str, bps: int) -> None:
    assert parse_percent(text) == bps


@pytest.mark.parametrize("text", ["", "-1", "5.255", "100.01", "101", "05", "5,2", "1e1", "٣"])
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CommandFailedError, match=r"for instance 5\.25"):
        parse_percent(text)


@given(st.integers(0, 10_000))
def test_percent_is_read_as_it_is_written(bps: int) -> None:
    assert parse_percent(format_percent(bps)) == bps
