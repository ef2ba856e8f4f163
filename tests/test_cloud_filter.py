"""The table of `cloud_filter` says which dates are kept and why; without a kept or readable date nothing is written."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.errors import PipelineError
from pipeline.core.params import load_params
from pipeline.raster.layout import SourceItem
from pipeline.sentinel.date_selection import DateSelection, judge, measure
from tests.world import landcovernet_item, params

DAYS = [date(2020, 1, day) for day in range(1, 7)]


def run_filter(raw: Path, dataset: Any = "landcovernet", **changes: Any) -> tuple[pd.DataFrame, str]:
    table = raw.parent / "clear" / f"{dataset}.csv"
    summary = cloud_filter(dataset, raw, table, raw.parent / "failures.csv", params(CloudFilterParams, **changes))
    return pd.read_csv(table, keep_default_na=False), summary


def test_the_table_has_shares_verdict_and_reason_of_each_chip_and_date(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for day, scl, hidden in ((1, 4, 0), (2, 9, 64), (3, 3, 12), (4, 10, 25), (5, 0, 128)):
        landcovernet_item(raw, "31PGS_01", DAYS[day], scl=scl, hidden=hidden)
    _, summary = run_filter(raw)
    assert summary == "5 dates of 1 chips in, 2 kept, dropped: 1 clearer dates, 1 cloud, 1 no_data"
    assert (tmp_path / "clear/landcovernet.csv").read_text().splitlines() == [
        "id,chip,date,cloud,shadow,haze,no_data,verdict,reason",
        "31PGS_01_20200102,31PGS_01,2020-01-02,0.0,0.0,0.0,0.0,keep,",
        "31PGS_01_20200103,31PGS_01,2020-01-03,0.25,0.0,0.0,0.0,drop,cloud",
        "31PGS_01_20200104,31PGS_01,2020-01-04,0.0,0.046875,0.0,0.0,keep,",
        "31PGS_01_20200105,31PGS_01,2020-01-05,0.0,0.0,0.09765625,0.0,drop,clearer dates",
        "31PGS_01_20200106,31PGS_01,2020-01-06,0.0,0.0,0.0,0.5,drop,no_data",
    ]


def test_the_thresholds_are_those_of_params(tmp_path: Path) -> None:
    landcovernet_item(tmp_path / "raw", "31PGS_01", DAYS[0], scl=9, hidden=64)
    frame, _ = run_filter(tmp_path / "raw", **{"cloud_filter.landcovernet.max_cloud": 0.25})
    assert frame["verdict"].tolist() == ["keep"]


def test_clouds_by_probability(tmp_path: Path) -> None:
    landcovernet_item(tmp_path / "raw", "31PGS_01", DAYS[0], scl=9, cld=49, hidden=64)
    landcovernet_item(tmp_path / "raw", "31PGS_01", DAYS[1], scl=4, cld=50, hidden=64)
    frame, _ = run_filter(tmp_path / "raw", **{"cloud_filter.landcovernet.clouds": "cld"})
    assert frame["reason"].tolist() == ["", "cloud"]


def test_dropping_every_date_is_refused_and_publishes_nothing(tmp_path: Path) -> None:
    landcovernet_item(tmp_path / "raw", "31PGS_01", DAYS[0], scl=9, hidden=256)
    landcovernet_item(tmp_path / "raw", "31PGS_01", DAYS[1], scl=3, hidden=64)
    with pytest.raises(PipelineError) as error:
        run_filter(tmp_path / "raw")
    assert str(error.value) == (
        f"all 2 dates in {tmp_path / 'raw'} are dropped (1 cloud, 1 shadow); in the clearest, 31PGS_01_20200102, "
        "25.0% of the pixels are hidden: raise the thresholds in cloud_filter.landcovernet"
    )
    assert not (tmp_path / "clear").exists()


@pytest.mark.parametrize("name", ["SCL.tif", "B03.tif"])
def test_a_file_that_cannot_be_read_publishes_nothing(tmp_path: Path, name: str) -> None:
    item = landcovernet_item(tmp_path / "raw", "31PGS_01", DAYS[0])
    (item.folder / name).write_text("not an image")
    with pytest.raises(PipelineError, match=rf"{name} is not a readable GeoTIFF"):
        run_filter(tmp_path / "raw")
    assert not (tmp_path / "clear").exists()


def real(shared: Path, naming: str) -> SourceItem:
    """A real chip; the names of its folders contain neither place nor date."""
    return SourceItem("52UEA_08", date(2018, 7, 20), shared / "data/landcovernet/chips" / naming)


def rounded(date: DateSelection) -> tuple[float, ...]:
    """Shares of cloud, shadow, haze and no-data."""
    return tuple(round(share, 4) for share in (date.cloud, date.shadow, date.haze, date.no_data))


def test_the_real_chip_under_cloud_is_dropped(shared: Path) -> None:
    used = params(CloudFilterParams)
    options = used.cloud_filter.read_options("landcovernet", used.bands)
    measured = measure(real(shared, "native-names"), options, with_bands=True)
    assert rounded(measured) == (0.7136, 0.0, 0.2864, 0.0)
    assert measured.hidden == 1.0
    assert judge([measured], used.cloud_filter.landcovernet) == [replace(measured, verdict="drop", reason="cloud")]
    by_probability = measure(
        real(shared, "native-names"), replace(options, clouds="cld", cld_threshold=50), with_bands=True
    )
    assert (round(by_probability.cloud, 2), by_probability.haze) == (0.34, 0.0)


def test_the_other_real_chip_is_kept_by_the_thresholds_of_params_yaml(shared: Path) -> None:
    used = load_params(CloudFilterParams, Path(__file__).parents[1] / "params.yaml")
    options = used.cloud_filter.read_options("landcovernet", used.bands)
    measured = measure(real(shared, "descriptive-names"), options, with_bands=True)
    assert rounded(measured) == (0.0962, 0.0948, 0.0, 0.0)
    assert judge([measured], used.cloud_filter.landcovernet) == [measured]
