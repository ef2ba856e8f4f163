import pickle
from datetime import date
from pathlib import Path

from pipeline.cloud_filter import CloudFilterParams
from pipeline.core.files import sha256
from pipeline.core.stage_cache import StageCache
from pipeline.sentinel.date_selection import DateSelection
from pipeline.sentinel.measuring import MeasureTask
from tests.world import landcovernet_item, params


def test_a_task_that_was_sent_finds_the_shares_in_the_cache(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path / "raw", "31PGS_01", date(2020, 3, 5), scl=9, hidden=64)
    (tmp_path / "cache").mkdir()
    used = params(CloudFilterParams)
    options = used.cloud_filter.read_options("landcovernet", used.bands)
    task = MeasureTask(tmp_path / "raw", StageCache(tmp_path / "cache", sha256), options)
    assert task.file(item) == str(item.folder.relative_to(tmp_path / "raw"))
    measured = DateSelection("31PGS_01_20200305", "31PGS_01", "2020-03-05", 0.25, 0, 0, 0)  # 64 of 256 pixels
    assert task(item) == pickle.loads(pickle.dumps(task))(item) == measured
    assert len(list((tmp_path / "cache").iterdir())) == 1
