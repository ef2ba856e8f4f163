"""Files that are refused when they are opened."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from pipeline.core.errors import PipelineError


def refuse(message: str, opener: Callable[..., AbstractContextManager[Any]], *arguments: Any) -> str:
    """Open something, which must fail with a message that contains this pattern; return the message."""
    with pytest.raises(PipelineError, match=message) as error, opener(*arguments):
        pass
    return str(error.value)
