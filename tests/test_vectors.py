"""`vectors` says in one line what it wrote, keeps files that exist, and refuses mistakes in one line."""

import sys
from pathlib import Path

import numpy as np
import pyogrio
import pytest

import pipeline.vectors
from tests.polygons.world import read_features, smooth_classes, write_map

CLASSES = smooth_classes(50, 60)
CONFIDENCE = np.where(CLASSES == 255, 255, 80).astype(np.uint8)


@pytest.fixture
def map_path(tmp_path: Path) -> Path:
    return write_map(tmp_path / "map.tif", CLASSES, CONFIDENCE)


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["vectors", *map(str, words)])
    pipeline.vectors.main()


def refusal(monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    with pytest.raises(SystemExit) as end:
        call(monkeypatch, *words)
    assert isinstance(end.value.code, str)
    return end.value.code


def test_one_line_about_the_file(
    map_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = map_path.with_suffix(".gpkg")
    call(monkeypatch, map_path, "-o", out)
    (line,) = capsys.readouterr().out.splitlines()
    _, fields = read_features(out)
    count = len(fields["patch"])
    assert line.startswith(f"vectors: {out}, {count} polygons of {count} patches, ")
    assert pyogrio.list_layers(out).tolist()[0] == ["map", "Polygon"]
    assert set(fields["confidence"]) == {80}


def test_confidence_can_be_left_out(
    map_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = map_path.with_suffix(".gpkg")
    call(monkeypatch, map_path, "-o", out, "--no-confidence", "--dissolve", "--simplify", 0)
    captured = capsys.readouterr()
    assert captured.out.endswith("; no confidence\n")
    assert captured.err == "note: --dissolve holds all polygons in memory\n"
    assert np.isnan(read_features(out)[1]["confidence"]).all()


def test_an_existing_file_is_kept(map_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = map_path.with_suffix(".gpkg")
    out.write_text("mine")
    assert refusal(monkeypatch, map_path, "-o", out) == f"vectors: error: {out} exists; --overwrite replaces it"
    assert out.read_text() == "mine"
    call(monkeypatch, map_path, "-o", out, "--overwrite")
    assert len(read_features(out)[0]) > 0


def test_mistakes_are_one_line(map_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "map.gpkg"
    assert "missing.tif does not exist" in refusal(monkeypatch, tmp_path / "missing.tif", "-o", out)
    assert "only GeoPackage is written" in refusal(monkeypatch, map_path, "-o", tmp_path / "map.shp")
    (tmp_path / "file").touch()
    assert "file is not a folder that you may write to" in refusal(
        monkeypatch, map_path, "-o", tmp_path / "file/m.gpkg"
    )
    (tmp_path / "bad.json").write_text("{")
    assert "bad.json is not valid JSON" in refusal(monkeypatch, map_path, "-o", out, "--classes", tmp_path / "bad.json")
    for tolerance in ("-1", "much", "nan", "inf", "1e200"):
        with pytest.raises(SystemExit) as end:
            call(monkeypatch, map_path, "-o", out, "--simplify", tolerance)
        assert end.value.code == 2
    assert not out.exists()


def test_a_map_is_never_its_own_output(map_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = map_path.rename(tmp_path / "own.gpkg")
    before = own.read_bytes()
    (tmp_path / "link.gpkg").symlink_to(own)
    for out in (own, tmp_path / "link.gpkg"):
        assert "it is an input; choose another name" in refusal(monkeypatch, own, "-o", out, "--overwrite")
    assert own.read_bytes() == before
