"""The command `python -m pipeline.export`: what it writes, the code of its card, and its answers to mistakes."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard

import pipeline.export
from pipeline.core.errors import PipelineError
from pipeline.inference.network import load_model as load_network
from pipeline.learning.model import load_model
from pipeline.publishing.onnx_model import TILE
from pipeline.publishing.publication import FILES, Scores
from pipeline.raster.geotiff import write_geotiff
from tests.maps import noise, write_model
from tests.publishing.world import SCORES, SENTINEL_2
from tests.world import at

Export = Callable[..., str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model", SENTINEL_2)


@pytest.fixture(scope="module")
def metrics(model: Path) -> Path:
    path = model.parent / "evaluate.json"
    path.write_text(json.dumps(SCORES | {"model_sha256": load_model(model).digest}))
    return path


@pytest.fixture
def export(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Export:
    """Run the command in an empty folder; return what it prints, or its error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> str:
        options = [] if {"--model", "--rev"} & set(map(str, words)) else ["--model", str(model)]
        monkeypatch.setattr(sys, "argv", ["export", *map(str, words), *options])
        try:
            pipeline.export.main()
        except SystemExit as end:
            return str(end.code)
        out, err = capsys.readouterr()
        return str(err + out).strip()

    return call


@pytest.fixture(scope="module")
def exported(model: Path, metrics: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export; read-only."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    own = load_model(model)
    own.segmenter.eval()
    pipeline.export.write_export(folder, own, Scores.model_validate_json(metrics.read_text()), "")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, exported: Path) -> None:
    """Copy a finished ONNX file instead of a new one."""
    finished = (exported / "model.onnx").read_bytes()
    monkeypatch.setattr(pipeline.export, "write_onnx", lambda _, path: path.write_bytes(finished))


def test_three_files_the_same_ones_each_time_and_one_line(
    export: Export, metrics: Path, exported: Path, tmp_path: Path
) -> None:
    line = export("-o", "out", "--metrics", metrics)
    size = (tmp_path / "out/model.onnx").stat().st_size / 1e6
    assert line.startswith(
        f"export: out, model.onnx {size:.3g} MB; same class as PyTorch on 100.0000% of a tile's pixels"
    )
    assert line.endswith("; calibrated, T = 1; with the scores of this model")
    found, again = ({path.name: path.read_bytes() for path in each.iterdir()} for each in (tmp_path / "out", exported))
    assert found.keys() == set(FILES)
    assert found == again
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_code_of_the_card_runs_and_gives_the_map(exported: Path, model: Path, tmp_path: Path) -> None:
    """In a process of its own, without this project."""
    (code,) = [part.partition("```")[0] for part in (exported / "README.md").read_text().split("```python\n")[1:]]
    for name in FILES:
        (tmp_path / name).symlink_to(exported / name)
    values_CHW = 1000 + 12 * noise(TILE, TILE).astype(np.uint16)
    write_geotiff(tmp_path / "scene.tif", values_CHW, at(0, 0, 10))
    save = '\nnp.savez("found.npz", classes=classes, confidence=confidence)\n'
    subprocess.run([sys.executable, "-I", "-c", code + save], cwd=tmp_path, check=True, timeout=100)
    found = np.load(tmp_path / "found.npz")
    image_HWC = np.rint(255 * np.clip((values_CHW - 1000.0) / 3000, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    network = load_network(model, "cpu", "fp32")
    logits_KHW = network.logits(image_HWC[None])[0]
    classes_HW = np.array(network.model.table.ids)[logits_KHW.argmax(dim=0).numpy()]
    assert len(np.unique(classes_HW)) > 1
    assert (found["classes"] == classes_HW).mean() > 0.9999
    confidence_HW = torch.softmax(logits_KHW / network.model.temperature, dim=0).amax(dim=0).numpy()
    np.testing.assert_allclose(found["confidence"], confidence_HW, atol=1e-4)


@pytest.mark.usefixtures("quick")
def test_an_export_is_replaced_only_on_request(export: Export, tmp_path: Path) -> None:
    export("-o", "out")
    (tmp_path / "out/README.md").write_text("mine")
    assert export("-o", "out") == "export: error: -o out exists; --overwrite replaces it"
    assert (tmp_path / "out/README.md").read_text() == "mine"
    assert export("-o", "out", "--overwrite").endswith("without scores")
    assert (tmp_path / "out/README.md").read_text().startswith("---\n")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((*FILES, "notes.txt"), '{"properties": {"model_sha256": ""}}'),
        *((FILES, text) for text in ("{}", "[]", '{"properties": {}}', '{"properties": null}', "{")),
        (["README.md"], "mine"),
        ([], ""),
    ],
)
def test_other_folders_are_kept(names: Sequence[str], text: str, export: Export, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(text)
    contents = "model.onnx, mlm.json, README.md and no other file"
    message = f"export: error: -o out exists and is not an export ({contents}); give another folder"
    assert export("-o", "out", "--overwrite") == message
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(names, text)


@pytest.mark.usefixtures("quick")
def test_scores_of_the_working_tree_if_they_are_of_the_model(export: Export, metrics: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    found = tmp_path / "metrics/evaluate.json"
    found.write_bytes(metrics.read_bytes())
    assert export("-o", "out").endswith("; with the scores of this model")
    assert ModelCard((tmp_path / "out/README.md").read_text()).data.eval_results[0].metric_value == 0.604164  # type: ignore[index]
    found.write_text(json.dumps(SCORES | {"model_sha256": "other"}))
    note, line = export("-o", "out", "--overwrite").splitlines()
    assert note.startswith("note: no scores in the card: metrics/evaluate.json has the scores of another model")
    assert line.endswith("; without scores")
    assert "0.604" not in (tmp_path / "out/README.md").read_text()


@pytest.mark.usefixtures("quick")
def test_an_experiment_brings_its_scores(
    export: Export, model: Path, metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {("ce-1", "metrics/evaluate.json"): metrics.read_text()}
    monkeypatch.setattr(pipeline.export, "model_of", {"ce-1": model}.__getitem__)
    monkeypatch.setattr(pipeline.export, "text_of", lambda *key: texts[key])
    assert export("-o", "out", "--rev", "ce-1").endswith("; with the scores of this model")


def test_mistakes_are_one_line(export: Export, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "old.json").write_text(json.dumps(SCORES | {"model_sha256": "other"}))
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    for words, message in [
        (("-o", "out", "--model", "none"), "none has no model.json; the stage train writes it: run `dvc repro`"),
        (("-o", "out", "--metrics", "old.json"), "old.json has the scores of another model (other…, not "),
        (("-o", "out", "--metrics", "none.json"), "--metrics none.json: cannot be read (No such file or directory); "),
        (("-o", "out", "--metrics", "bytes.json"), "--metrics bytes.json: cannot be read (it is not UTF-8); "),
        (("-o", "file/out"), "-o file/out: cannot be written (File exists); give another folder"),
        (("-o", "file"), "-o file exists and is not an export"),
    ]:
        answer = export(*words)
        assert answer.startswith(f"export: error: {message}")
        assert "\n" not in answer
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_nothing(export: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any) -> None:
        raise PipelineError("cannot be exported")

    monkeypatch.setattr(pipeline.export, "write_onnx", refuse)
    assert export("-o", "out").endswith("export: error: cannot be exported")
    assert list(tmp_path.iterdir()) == []
