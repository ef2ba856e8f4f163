import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def own_torch_settings() -> Iterator[None]:
    """Undo what a training sets for the whole process."""
    import torch  # takes seconds

    from tests.learning.cuda import set_sync_debug_mode

    yield
    set_sync_debug_mode("default")
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
