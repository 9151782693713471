"""JSON in credentials: what is not strict is refused for the reasons of credentials."""

from collections.abc import Iterator
from contextlib import contextmanager

from identity import strict_json
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.strict_json import DeepJsonError, InvalidJsonError, Json


def parse_json(payload: bytes) -> Json:
    """The value that UTF-8 text stands for; raises CredentialError. The caller has limited the size."""
    with _naming_reasons():
        return strict_json.parse_json(payload)


def parse_json_object(payload: bytes) -> dict[str, Json]:
    """The object that UTF-8 text stands for; raises CredentialError. The caller has limited the size."""
    with _naming_reasons():
        return strict_json.parse_json_object(payload)


def check_json(value: object) -> None:
    """That a value is one which `parse_json` returns; raises CredentialError."""
    with _naming_reasons():
        strict_json.check_json(value)


@contextmanager
def _naming_reasons() -> Iterator[None]:
    try:
        yield
    except DeepJsonError as error:
        raise CredentialError(CredentialReason.LIMIT_EXCEEDED, str(error)) from None
    except InvalidJsonError as error:
        raise CredentialError(CredentialReason.MALFORMED, str(error)) from None
