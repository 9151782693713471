import pytest

from p2p.admission import Door, compute_address_group


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_a_host_counts_as_its_address_and_an_ipv6_host_as_its_site(host: str, group: str) -> None:
    assert compute_address_group(host) == group


def test_the_door_has_room_per_address_and_in_total() -> None:
    door = Door(strangers_max=3, strangers_per_address_max=2)
    assert [door.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [door.enter("192.0.2.2"), door.enter("192.0.2.3")] == [True, False]
    door.leave("192.0.2.1")
    assert [door.enter("192.0.2.3"), door.enter("192.0.2.4")] == [True, False]


def test_the_door_forgets_who_left() -> None:
    door = Door(strangers_max=1, strangers_per_address_max=1)
    for number in range(100):
        assert door.enter(f"192.0.2.{number}")
        door.leave(f"192.0.2.{number}")
    assert not door._by_group
