import pytest

from pipeline.evaluation.examples import ExampleSource
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
from tests.learning.world import BRIGHTNESS, World


@pytest.fixture
def source(trained: World) -> ExampleSource:
    """The test chips of `trained`, and its network on the CPU in fp32."""
    model = load_model(trained.model)
    model.segmenter.eval()
    return ExampleSource(
        model, Chips(trained.folder / "chips", ["c10", "c11", "c12"], BRIGHTNESS), Device("cpu", "fp32")
    )
