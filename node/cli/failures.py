"""How a command fails: an exit code that scripts may rely on, and one sentence that says what to do."""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Any


@unique
class ExitCode(IntEnum):
    """Exit codes of every command; never reused."""

    OK = 0
    """Done."""
    FAILED = 1
    """The transaction was included and failed, what was asked for does not exist, or a check has failed."""
    WRONG_USE = 2
    """Wrong command, option, file or configuration; nothing was sent."""
    UNREACHABLE = 3
    """The node does not answer."""
    REFUSED = 4
    """The node answered and refused: the transaction is not admitted, or the call is not possible now."""
    UNDECIDED = 5
    """Sent, but not final within the time; it may still become final."""
    INTERNAL = 70
    """A fault of this program."""
    INTERRUPTED = 130
    """Ctrl-C."""


class CommandFailedError(Exception):
    """A command cannot do what it was asked for; one sentence."""

    def __init__(
        self, message: str, code: ExitCode = ExitCode.WRONG_USE, facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.facts = dict(facts or {})


def explain_failure(error: Exception) -> CommandFailedError | None:
    """The sentence for an exception that is not this program's fault; None for one that is."""
    if isinstance(error, CommandFailedError):
        return error
    # Imported here: `carlive --help` must not wait for any of it.
    from genesis.document import GenesisError
    from identity.address import InvalidAddressError
    from identity.keystore import KeystoreError
    from identity.wallet.errors import WalletError
    from ledger.chain import UnknownFormatError
    from node.errors import ConfigurationError, StoreDamagedError, StoreWriteError
    from node.key_files import KeyFileError
    from rpc.client import BadResponseError, NodeUnreachableError, UnprovenAnswerError
    from rpc.errors import ErrorCode, RpcError
    from rpc.proof_failure import ProofFailedError

    match error:
        case (
            ConfigurationError()
            | GenesisError()
            | InvalidAddressError()
            | KeystoreError()
            | KeyFileError()
            | WalletError()
        ):
            return CommandFailedError(str(error))
        case ProofFailedError() | UnprovenAnswerError():
            return CommandFailedError(str(error), ExitCode.FAILED, {"step": str(error.step)})
        case StoreDamagedError() | StoreWriteError() | UnknownFormatError():
            return CommandFailedError(str(error), ExitCode.FAILED)
        case NodeUnreachableError() | BadResponseError():
            return CommandFailedError(str(error), ExitCode.UNREACHABLE)
        case RpcError():
            is_missing = error.code is ErrorCode.NOT_FOUND or error.reason == "NODE_BEHIND"
            code = ExitCode.FAILED if is_missing else ExitCode.REFUSED
            facts = {"reason": error.reason, "retryable": error.is_retryable, **error.fields}
            advice = "; it may succeed later" if error.is_retryable else ""
            own_code = error.fields.get("code")
            reason = explain_reason(error.reason, own_code if isinstance(own_code, int) else None)
            return CommandFailedError(f"{error.detail or error.reason} ({reason}){advice}", code, facts)
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return CommandFailedError(f"{place}{error.strerror or error}")
        case _:
            return None


def explain_reason(reason: str | None, code: int | None) -> str:
    """A reason for people; a contract's own code with what it means, when the language itself fails with it."""
    if code is None:
        return str(reason)
    from iov.failures import CODE_MAX, Panic

    if code <= CODE_MAX:
        return f"the contract's code {code}"
    meaning = next((panic.name.lower().replace("_", " ") for panic in Panic if panic == code), "reserved")
    return f"the contract's code {code}: {meaning}"
