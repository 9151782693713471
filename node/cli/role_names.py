"""Roles and recognitions by the names that commands take; a test compares them with the chain's numbers."""

from typing import Final

ROLES: Final = (
    "person",
    "certified-influencer",
    "certified-company",
    "advertiser",
    "community-administrator",
    "attester",
)
"""Those that are granted."""
EARNED_ROLES: Final = tuple(each for each in ROLES if each != "person")
"""Those to which growth tasks may lead."""
RECOGNITIONS: Final = (
    "vin-attester",
    "platform",
    "auditor",
    "evidence-reporter",
    "person-issuer",
    "certified-influencer-issuer",
    "certified-company-issuer",
    "advertiser-issuer",
    "community-administrator-issuer",
    "attester-issuer",
)


def get_role_number(name: str) -> int:
    """The number of a role."""
    from vm.native.role_records import Role

    return int(Role[name.replace("-", "_").upper()])


def format_role(number: int) -> str:
    """The name of a role."""
    from vm.native.role_records import Role

    return Role(number).name.lower().replace("_", "-")


def get_recognition_number(name: str) -> int:
    """The number of a recognition."""
    from vm.native.recognition import Recognition

    return int(Recognition[name.replace("-", "_").upper()])
