"""A map never replaces its inputs, names what it cannot write, and no layer ever lies beside another map."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.inference.cog import describe_layers
from pipeline.inference.finished import Finished
from pipeline.inference.outputs import MapFiles, require_no_input, require_writable, write_outputs
from tests.inference.world import layer_of
from tests.maps import TABLE
from tests.world import at

NAMES = ("confidence", "probabilities")


def files(folder: Path) -> MapFiles:
    return MapFiles(folder / "map.tif", NAMES, folder / "preview.png")


def test_names_derive_from_the_map_s() -> None:
    found = MapFiles(Path("a/map.v2.tiff"), NAMES)
    assert (found.pam, found.style) == (Path("a/map.v2.tiff.aux.xml"), Path("a/map.v2.qml"))
    assert found.chosen == [
        Path("a/map.v2.tiff"),
        Path("a/map.v2.qml"),
        Path("a/map.v2.confidence.tiff"),
        Path("a/map.v2.probabilities.tiff"),
    ]
    assert files(Path("a")).chosen[-1] == Path("a/preview.png")


def test_a_file_in_place_of_a_folder_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(PipelineError, match=r"x/y/map.tif cannot be written: .*/x is not a folder that you may write"):
        require_writable(MapFiles(tmp_path / "x/y/map.tif"))
    with pytest.raises(PipelineError, match=r"x/p.png cannot be written: .*/x is not a folder that you may write to$"):
        require_writable(MapFiles(tmp_path / "map.tif", preview=tmp_path / "x/p.png"))
    with pytest.raises(PipelineError, match=r"^--vector .*x/p\.gpkg cannot be written: .*x is not a folder"):
        require_writable(MapFiles(tmp_path / "map.tif", vector=tmp_path / "x/p.gpkg"))
    with pytest.raises(PipelineError, match=r"^--vector .*an exclamation mark"):
        require_writable(MapFiles(tmp_path / "map.tif", vector=tmp_path / "a!b.gpkg"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_found_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PipelineError, match="is not a folder that you may write to"):
        require_writable(MapFiles(tmp_path / "map.tif"))


@pytest.mark.parametrize("name", ["map.tif", "map.confidence.tif", "preview.png"])
def test_inputs_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "link.tif").symlink_to(tmp_path / name)
    for given in (tmp_path / name, tmp_path / "link.tif", tmp_path / "x" / ".." / name):
        with pytest.raises(PipelineError, match=rf"{name} would be overwritten, but it is an input; choose another"):
            require_no_input(files(tmp_path), ["https://example.org/map.tif", given])
    require_no_input(files(tmp_path), [tmp_path / "other.tif", "https://example.org/map.tif"])


def test_an_output_that_links_to_an_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").touch()
    (tmp_path / "map.tif").symlink_to("scene.tif")
    with pytest.raises(PipelineError, match="map.tif would be overwritten, but it is an input"):
        require_no_input(files(tmp_path), [tmp_path / "scene.tif"])


def finished(folder: Path) -> Finished:
    found = Finished()
    for name, bands in (("classes", 1), ("confidence", 1), ("probabilities", 3)):
        found.layers[name] = layer_of(folder / f"{name}.bin", np.full((bands, 4, 5), 10, np.uint8))
    found.counts_V[10] = 20
    return found


def write(
    folder: Path, complete: Callable[[dict[str, Path]], None] = lambda layers: None, replaced: tuple[Path, ...] = ()
) -> None:
    rasters = describe_layers(at(), TABLE, TABLE, {})
    write_outputs(files(folder), finished(folder.parent / "work"), rasters, complete, replaced)


def test_an_older_map_stays_whole_until_all_of_the_new_one_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out)
    layers = [path for path in out.iterdir() if path.suffix == ".tif"]
    before = [(path.stat().st_ino, path.read_bytes()) for path in layers]

    def fail(layers: dict[str, Path]) -> None:
        raise PipelineError("stopped")

    with pytest.raises(PipelineError, match="^stopped$"):
        write(out, fail, replaced=tuple(layers))
    assert [(path.stat().st_ino, path.read_bytes()) for path in layers] == before


def test_a_layer_never_lies_beside_another_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, rename, moments = tmp_path / "out", os.rename, []
    write(out)
    layers = tuple(sorted(path for path in out.iterdir() if path.suffix == ".tif"))
    old = {path.stat().st_ino for path in layers}

    def rename_and_look(*arguments: Any, **options: Any) -> None:
        rename(*arguments, **options)
        moments.append([path.stat().st_ino in old for path in layers if path.exists()])
        assert not (out / "map.tif").exists() or len(moments[-1]) == len(layers)

    monkeypatch.setattr(os, "rename", rename_and_look)
    write(out, replaced=layers)
    assert all(len(set(moment)) <= 1 for moment in moments)
    assert moments[-1] == [False, False, False]
