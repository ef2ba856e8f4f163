from datetime import date
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.studies.overrides import hydra, override_texts

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="$\ufeff"))
VALUES = st.recursive(
    st.booleans() | st.integers(-1000, 1000) | st.floats(-10, 10).map(lambda value: round(value, 3)) | TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(VALUES)
def test_dvc_reads_the_value_that_was_written(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    params = tmp_path_factory.mktemp("params") / "params.yaml"
    params.write_text("section:\n  key: 1\n")
    apply_overrides(params, override_texts({"section.key": value}))
    assert yaml.safe_load(params.read_text())["section"]["key"] == value


def test_a_null_is_refused() -> None:
    with pytest.raises(PipelineError, match="null is no value of a parameter; write none for nothing"):
        hydra(None)
    with pytest.raises(PipelineError, match="2018-01-01 is no value of a parameter; .*, and dates in quotes"):
        hydra(date(2018, 1, 1))
