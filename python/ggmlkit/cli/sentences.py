"""What is said of an error: one sentence, whatever raised it."""

from __future__ import annotations

from errno import ENOSPC

from ggmlkit.errors import GgmlkitError

# Not defects of ours. Python raises SystemError where memory ends inside it.
INPUT_AT_FAULT = (GgmlkitError, OSError, ImportError, MemoryError, SystemError)


def sentence_of(error: Exception) -> str:
    """What went wrong."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.strerror:
        # What writes files names the file.
        return f"standard output: {error.strerror}" if error.errno == ENOSPC else error.strerror
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, SystemError):
        return f"Python failed, perhaps for lack of memory: {error}"
    if isinstance(error, ImportError):  # a library that is missing, or that no memory is left for
        while isinstance(error.__cause__, ImportError):
            error = error.__cause__  # what numpy, say, writes a page about
        return " ".join(f"a library can't be loaded: {error}".split())
    return " ".join(str(error).split())
