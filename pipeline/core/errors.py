"""Errors that are shown to the user."""

from collections.abc import Sequence


class PipelineError(Exception):
    """Bad input or a user's mistake, in one line: what was given, what is allowed, what to do next.

    `pipeline.core.cli.run` prints it without a traceback and exits with `code`. Any other exception is a bug and
    shows its traceback.
    """

    code = 1
    """Exit code of the stage."""
    table: Sequence[str] = ()
    """Lines printed before the message, one per failed file."""


class StageError(PipelineError):
    """An error that would affect every file, such as a full disk; it ends the stage even with `on_error: skip`."""
