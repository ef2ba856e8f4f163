from collections.abc import Iterator

import pytest

from pipeline.splitting import assignment


@pytest.fixture(scope="module")
def few_moves() -> Iterator[None]:
    """Search less than the stage does, which is harder to pass and a seventh of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "MAX_MOVES", 800)
        yield
