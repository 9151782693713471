"""Words for behaviours that earn force, as commands take them."""

from node.cli.failures import CommandFailedError


def get_behaviour_number(name: str) -> int:
    """The number of a behaviour by its name in lower case; raises CommandFailedError."""
    from vm.native.mining_formulas import Behaviour

    if name.upper() not in Behaviour.__members__:
        names = ", ".join(each.name.lower() for each in Behaviour)
        raise CommandFailedError(f"there is no behaviour {name}; there are {names}")
    return Behaviour[name.upper()].value
