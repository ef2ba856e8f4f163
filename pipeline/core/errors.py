"""The exceptions that people see."""

from collections.abc import Sequence


class PipelineError(Exception):
    """A user's mistake or bad input, said in one line.

    The text says what was given, what is allowed and what to do next. `pipeline.core.cli.run` prints it
    without a traceback and exits with 1; anything else that is raised is a bug of ours and shows its traceback.
    """

    code = 1
    """What the stage exits with."""
    table: Sequence[str] = ()
    """Lines that are printed before the text: one for each of several things that went wrong."""


class StageError(PipelineError):
    """What no other file would escape, such as a full disk: the stage ends, whatever `on_error` says."""
