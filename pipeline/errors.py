"""The one exception that people see."""


class PipelineError(Exception):
    """A user's mistake or bad input, said in one line.

    The text says what was given, what is allowed and what to do next. `pipeline.command.run` prints it
    without a traceback and exits with 1; anything else that is raised is a bug of ours and shows its traceback.
    """
