import pickle
from pathlib import Path

from pipeline.core.files import sha256
from pipeline.core.stage_cache import StageCache
from pipeline.formats.datasets import CLASSES
from pipeline.orthophoto.task import TileTask
from pipeline.tile import TileParams
from tests.world import orthophoto, params


def test_a_task_that_was_sent_finds_the_chips_in_the_cache(tmp_path: Path) -> None:
    scene = orthophoto(tmp_path / "raw", "a")
    (tmp_path / "cache").mkdir()
    section = params(TileParams, **{"tile.size": 32}).tile
    task = TileTask(tmp_path / "raw", StageCache(tmp_path / "cache", sha256), section, CLASSES["landcoverai"])
    assert (task.file(scene), task.reads, task.writes) == ("images/a.tif", (tmp_path / "raw",), ())
    folder, tiled = task(scene)
    assert sorted(path.name for path in (folder / "images").iterdir()) == [f"a_{number}.png" for number in range(6)]
    assert [row["id"] for row in tiled.rows] == [f"a_{number}" for number in range(6)]
    assert pickle.loads(pickle.dumps(task))(scene) == (folder, tiled)
