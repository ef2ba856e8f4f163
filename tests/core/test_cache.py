"""The cache is where PIPELINE_CACHE or DVC's project says."""

from pathlib import Path

import pytest

from pipeline.core.cache import cache_folder


@pytest.mark.parametrize(
    ("cache", "root", "expected"),
    [
        (None, None, ".pipeline_cache"),
        (None, "/project", "/project/.pipeline_cache"),
        ("", "/project", "/project/.pipeline_cache"),
        ("/scratch", "/project", "/scratch"),
        ("../scratch", "/project", "/project/../scratch"),
    ],
)
def test_the_cache_folder_depends_on_the_environment(
    monkeypatch: pytest.MonkeyPatch, cache: str | None, root: str | None, expected: str
) -> None:
    for name, value in (("PIPELINE_CACHE", cache), ("DVC_ROOT", root)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
