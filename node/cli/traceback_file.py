"""Where the details of a fault go: a file, not the terminal."""

import os
import tempfile
import traceback


def save_traceback(error: Exception) -> str:
    """The path of a private file with the traceback."""
    descriptor, path = tempfile.mkstemp(prefix="carlive-fault-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    return path
