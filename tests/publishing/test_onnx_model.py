"""The file in onnxruntime, against PyTorch and scipy; and by Deepness' rules against a map."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from scipy.special import softmax

from benchmarks._export_deepness import deepness_map, extend, read_parameters
from pipeline.core.errors import PipelineError
from pipeline.inference.network import Wanted
from pipeline.inference.windows import Tiling
from pipeline.learning.calibration import Calibration
from pipeline.learning.model import Model, NetworkConfig, build
from pipeline.publishing.deepness import deepness_metadata
from pipeline.publishing.onnx_model import check_onnx, open_session, synthetic_image, write_onnx
from tests.inference.world import exact_model, loaded, mapped, network_run, random_scene, untrained_model
from tests.maps import TABLE
from tests.scenes.array_scene import ArrayScene
from tests.test_house import PIPELINE, closure

TILE = 64


def at_temperature(temperature: float, **changes: int) -> Model:
    return replace(untrained_model(**changes).model, calibration=Calibration(temperature, 1, temperature, temperature))


@cache
def pspnet() -> Model:
    """Its pooling into 3 x 3 and 6 x 6 cells does not divide a tile."""
    return loaded(build(NetworkConfig("pspnet", "resnet18", len(TABLE.ids))), architecture="pspnet").model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing but model.onnx, with T = 0.5; read-only."""
    folder = tmp_path_factory.mktemp("onnx")
    write_onnx(at_temperature(0.5), folder / "model.onnx", TILE)
    return folder


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "model.onnx"


def run(path: Path, images_NCHW: np.ndarray) -> np.ndarray:
    (found_NKHW,) = open_session(path).run(None, {"image": np.float32(images_NCHW / 255)})
    return np.asarray(found_NKHW)


def logits(model: Model, images_NCHW: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.segmenter(torch.from_numpy(images_NCHW)).numpy()


def test_it_is_one_file_that_older_programs_read(folder: Path, path: Path) -> None:
    assert list(folder.iterdir()) == [path]
    proto = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(proto, full_check=True)
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 17)]
    assert proto.ir_version == 8
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in proto.graph.initializer)


def test_input_and_output_are_square_in_batches_of_any_size(path: Path) -> None:
    session = open_session(path)
    (given_,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given_.name, given_.shape, given_.type) == ("image", ["batch", 3, TILE, TILE], "tensor(float)")
    assert (found.name, found.shape, found.type) == ("probabilities", ["batch", 3, TILE, TILE], "tensor(float)")


@pytest.mark.parametrize("bands", [3, 4])
def test_probabilities_are_those_of_the_network(bands: int, tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", at_temperature(0.5, bands=bands)
    write_onnx(model, path, TILE)
    images_NCHW = np.random.default_rng(0).integers(0, 256, (3, bands, TILE, TILE), dtype=np.uint8)
    expected_NKHW = softmax(logits(model, images_NCHW).astype(np.float64) / model.temperature, axis=1)
    np.testing.assert_allclose(run(path, images_NCHW), expected_NKHW, atol=1e-4)
    check = check_onnx(path, model)
    assert check.equal_share >= 0.9999
    assert 0 <= check.largest_difference < 1e-4


def test_the_metadata_is_in_the_file(path: Path) -> None:
    expected = deepness_metadata(at_temperature(0.5), TILE)
    assert open_session(path).get_modelmeta().custom_metadata_map == expected


def test_the_same_model_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_onnx(at_temperature(0.5), tmp_path / "again.onnx", TILE)
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_networks_that_onnx_lacks_are_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        PipelineError, match=r"'pspnet' with encoder 'resnet18'.* tile of 64 px: .*adaptive_avg"
    ) as found:
        write_onnx(pspnet(), tmp_path / "model.onnx", TILE)
    assert "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_onnxruntime_does_not_run_is_one_line(path: Path, tmp_path: Path) -> None:
    proto = onnx.load(path)
    proto.graph.node[0].op_type = "Unknown"
    onnx.save(proto, tmp_path / "odd.onnx")
    with pytest.raises(PipelineError, match=r"odd\.onnx cannot be opened by onnxruntime 1\.[^\n]*; export the"):
        check_onnx(tmp_path / "odd.onnx", at_temperature(0.5))


def test_the_image_of_the_check_has_bands_with_fields_and_texture() -> None:
    image_HWC = synthetic_image(256, 5)
    assert (image_HWC.shape, image_HWC.dtype) == ((256, 256, 5), np.uint8)
    assert len({image_HWC[..., band].tobytes() for band in range(5)}) == 5
    assert image_HWC.std() > 30
    assert np.abs(np.diff(image_HWC.astype(int), axis=1)).mean() < 10  # noise of this contrast has more than 30


def test_predict_does_without_onnx() -> None:
    assert not {path.parent.name for path in closure(PIPELINE / "predict.py")} & {"publishing"}


def test_another_network_is_found(path: Path) -> None:
    with pytest.raises(PipelineError, match=r"same class as PyTorch on only [\d.]+% of the pixels"):
        check_onnx(path, at_temperature(0.5, seed=1))


def test_another_temperature_shows_in_the_probabilities(path: Path) -> None:
    check = check_onnx(path, at_temperature(1.0))
    assert check.equal_share >= 0.9999
    assert check.largest_difference > 0.01


@pytest.mark.parametrize("size", [(448, 448), (300, 500)])
def test_deepness_makes_the_map_of_the_same_windows(tmp_path: Path, size: tuple[int, int]) -> None:
    model, image_HWC = exact_model(), random_scene(*size).image_HWC
    write_onnx(model.model, tmp_path / "model.onnx", 256)
    session = open_session(tmp_path / "model.onnx")
    tile, overlap, _ = read_parameters(session)
    scene = ArrayScene(extend(image_HWC, tile, overlap))
    classes_HW = mapped(network_run(model, scene, Tiling(tile, overlap // 2, 32), Wanted()))["classes"][0]
    found_HW = np.array(TABLE.ids)[deepness_map(session, image_HWC)]
    assert (found_HW == classes_HW[-size[0] :, : size[1]]).mean() > 0.999  # scaling to 0..1 leaves few ties
