from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.importing.mask_writer import mask_dtype, mask_writer
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.labels import read_labels
from tests.importing.painting import rules
from tests.world import TWO_CLASSES, at

values = st.sampled_from([-3, 0, 1, 2, 9, 254, 255, 300, 65534, 65535, 65536, 2**32 - 1])
remaps = st.dictionaries(values, st.sampled_from([1, 2, "ignore"]))


@settings(max_examples=40)  # each writes a file
@given(remaps, st.data())
def test_raw_values_become_the_classes_they_stand_for(
    tmp_path_factory: pytest.TempPathFactory, remap: dict[int, Any], data: st.DataObject
) -> None:
    table = ClassTable.model_validate({"classes": TWO_CLASSES.classes, "remap": remap})
    reachable = [id_ for id_ in table.ids if remap.get(id_, id_) == id_ or id_ in remap.values()]
    ids = data.draw(st.lists(st.sampled_from([*reachable, IGNORE]), min_size=1, max_size=9))
    target = tmp_path_factory.mktemp("mask") / "a.tif"
    with mask_writer(target, 1, len(ids), at(), table) as writer:
        raw = [table.ignored_value if id_ == IGNORE else table.raw_value(id_) for id_ in ids]
        writer.write(0, np.array([raw]))
    with open_geotiff(target) as file:
        assert read_labels(file, table).mask_HW.tolist() == [ids]
        assert file.nodata == (table.ignored_value,)
        assert file.georeference == at()


@pytest.mark.parametrize(
    ("remap", "dtype"),
    [
        ({}, "uint8"),
        ({40: 1, 80: 2}, "uint8"),
        ({255: 1}, "uint16"),
        ({1: "ignore", 70000: 1}, "uint32"),
        ({1: 2, -1: 1, 2: "ignore"}, "int16"),
    ],
)
def test_the_dtype_is_the_smallest_that_holds_all(remap: dict[int, Any], dtype: str) -> None:
    assert mask_dtype(rules(remap=remap)) == dtype
