"""Who counts as one client."""

import pytest

from rpc.connections import ConnectionCaps, compute_client_address
from rpc.settings import RpcSettings


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::1", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", "local"),
        (None, "local"),
    ],
)
def test_addresses_are_grouped(peer: object, address: str) -> None:
    assert compute_client_address(peer) == address


def test_caps_count_up_and_down() -> None:
    caps = ConnectionCaps(RpcSettings(connections_max=3, connections_per_address_max=2))
    assert [caps.admit(each) for each in "aaabb"] == [True, True, False, True, False]
    caps.release("a")
    assert caps.admit("a")
    for each in "aab":
        caps.release(each)
    assert (caps.total, caps.refused_total) == (0, 2)
