"""A chip's conversion that was sent to another machine finds its result in the cache; its errors can be sent back."""

import pickle
from datetime import date
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256
from pipeline.core.stage_cache import StageCache
from pipeline.formats.datasets import CLASSES
from pipeline.sentinel.conversion import ConvertTask, LabelledItem
from pipeline.tif_to_png import TifToPngParams
from tests.world import landcovernet_item, landcovernet_label, params

DAY = date(2020, 3, 5)


@pytest.fixture
def task(tmp_path: Path) -> ConvertTask:
    (tmp_path / "cache").mkdir()
    used = params(TifToPngParams)
    options = used.cloud_filter.read_options("landcovernet", used.bands)
    cache = StageCache(tmp_path / "cache", sha256)
    return ConvertTask(tmp_path / "raw", cache, options, used.conversion("landcovernet"), CLASSES["landcovernet"])


def test_a_task_that_was_sent_finds_the_chip_in_the_cache(tmp_path: Path, task: ConvertTask) -> None:
    item = landcovernet_item(tmp_path / "raw", "31PGS_01", DAY)
    labelled = LabelledItem(item, landcovernet_label(tmp_path / "raw", "31PGS_01"))
    assert task.file(labelled) == str(item.folder.relative_to(tmp_path / "raw"))
    folder, converted = task(labelled)
    assert sorted(path.name for path in folder.iterdir()) == ["images.png", "masks.png", "result.json"]
    assert converted.row is not None
    assert converted.row["id"] == "31PGS_01_20200305"
    assert pickle.loads(pickle.dumps(task))(labelled) == (folder, converted)


def test_a_missing_label_is_an_error_that_can_be_sent(tmp_path: Path, task: ConvertTask) -> None:
    item = landcovernet_item(tmp_path / "raw", "31PGS_01", DAY)
    (tmp_path / "raw/label").mkdir()
    with pytest.raises(PipelineError, match="/raw/label has no file for labels; ") as error:
        task(LabelledItem(item, tmp_path / "raw/label"))
    sent = pickle.loads(pickle.dumps(error.value))
    assert (type(sent), str(sent)) == (PipelineError, str(error.value))
