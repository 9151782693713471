from p2p.rates import Score, TokenBucket


def test_a_bucket_lets_its_burst_pass_and_then_asks_to_wait_for_the_debt() -> None:
    bucket = TokenBucket(rate=10, burst=20, now_s=0.0)
    assert bucket.charge(20, 0.0) == 0.0
    assert bucket.charge(5, 0.0) == 0.5
    assert bucket.charge(0, 0.5) == 0.0
    assert bucket.charge(10, 1.0) == 0.5


def test_a_bucket_never_saves_more_than_its_burst() -> None:
    bucket = TokenBucket(rate=10, burst=20, now_s=0.0)
    assert bucket.charge(30, 1_000.0) == 1.0


def test_points_add_up_and_fade() -> None:
    score = Score(decay_per_second=2.0)
    assert score.add(10, 5.0) == 10
    assert score.add(10, 6.0) == 18
    assert score.get_points(10.0) == 10
    assert score.get_points(1_000.0) == 0
    assert score.add(1, 1_000.0) == 1
