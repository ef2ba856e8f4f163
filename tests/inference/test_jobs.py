"""Maps of many scenes: paths for other machines, and a model loaded again only when it was trained again."""

import pickle
from pathlib import Path

import pytest

from pipeline.inference.jobs import Job, MapTask
from pipeline.inference.network import Wanted
from pipeline.inference.options import MapOptions, Source
from pipeline.scenes.area import AreaOptions
from tests.maps import write_model


def test_paths_become_absolute_for_other_machines_and_urls_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "https://user:secret@example.org/scene.tif?signature=1"
    job = Job(Source(("a.tif", url), "merge"), Path("maps/a.tif")).absolute()
    assert job == Job(Source((f"{tmp_path}/a.tif", url), "merge"), tmp_path / "maps/a.tif")
    area = AreaOptions(aoi=Path("area.gpkg"), mask=tmp_path / "clouds.tif")
    task = MapTask(Path("model"), "cpu", MapOptions(Wanted(), area, preview=Path("pictures")), Path("maps")).absolute()
    assert (task.reads, task.writes) == ((tmp_path / "model",), (tmp_path / "maps", tmp_path / "pictures"))
    assert task.options.area == AreaOptions(aoi=tmp_path / "area.gpkg", mask=tmp_path / "clouds.tif")
    assert (task.options.truth, task.options.vector) == (None, None)


def test_a_model_is_loaded_once_and_again_when_it_was_trained_again(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    task = MapTask(tmp_path / "model", "cpu", MapOptions(), tmp_path / "maps")
    sent = pickle.loads(pickle.dumps(task))
    assert sent.model is task.model
    first = task.model
    write_model(tmp_path / "other", seed=1)
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / "model" / path.name)
    assert task.model.model.digest != first.model.digest
