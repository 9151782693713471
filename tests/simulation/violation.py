"""What a simulation raises when something happened that must never happen."""


class ViolationError(AssertionError):
    """A rule that must hold whatever happens was broken."""


def require(condition: bool, what: str) -> None:
    """A rule that must hold at every step."""
    if not condition:
        raise ViolationError(what)
