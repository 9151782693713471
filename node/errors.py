"""Failures that are neither a transaction's nor a peer's: the operator's, and the disk's."""


class ConfigurationError(Exception):
    """The operator's mistake, in one sentence that says what to do; the process ends with exit code 2."""


class StoreDamagedError(Exception):
    """What is on disk is not what was written. The node stops; the message says what to do."""


class StoreWriteError(Exception):
    """A write did not get through, most often because the disk is full.

    It may or may not have been stored as a whole, never in part. The store takes no more writes until `reopen`
    succeeds; then look at what it holds.
    """
