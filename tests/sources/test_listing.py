"""A listing of a bucket has the size and MD5 of each key; an error is one line, an empty listing is not kept."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.sources.listing import Bucket
from tests.sources.bucket import Proxy, bucket_server, put

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("files")
    for name in ("top.txt", "a/1.txt", "a/deep/2.txt", "ab/3.txt", "b/4.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    with bucket_server() as running:
        put(running, "public", "below/", folder)
        yield running


def below(endpoint: str, cache: Path, prefix: str = "below/", name: str = "public") -> Bucket:
    return Bucket(endpoint, name, prefix, cache)


def test_the_keys_of_a_folder_are_relative_to_the_prefix_with_size_and_md5(proxy: Proxy, tmp_path: Path) -> None:
    md5 = {name: hashlib.md5(name.encode()).hexdigest() for name in ("a/1.txt", "a/deep/2.txt")}
    assert below(proxy.url, tmp_path).keys("a/") == {
        "a/1.txt": {"size": 7, "md5": md5["a/1.txt"]},
        "a/deep/2.txt": {"size": 12, "md5": md5["a/deep/2.txt"]},
    }
    assert proxy.lists == ["below/a/"]


def test_an_empty_listing_is_not_cached(proxy: Proxy, tmp_path: Path) -> None:
    bucket = below(proxy.url, tmp_path)
    for _ in range(2):
        assert (bucket.keys("gone/"), bucket.folders("gone/")) == ({}, [])
    assert proxy.lists.count("below/gone/") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("at", "name", "words"),
    [
        ("", "gone", "/gone/below/a/ cannot be listed: An error occurred (NoSuchBucket)"),
        ("http://a_b:9", "public", "http://a_b:9/public/below/a/ cannot be listed: Invalid endpoint"),
        ("http://127.0.0.1:9/", "public", "http://127.0.0.1:9/public/below/a/ cannot be listed: "),
    ],
)
def test_errors_are_one_line(proxy: Proxy, tmp_path: Path, at: str, name: str, words: str) -> None:
    with pytest.raises(PipelineError) as error:
        below(at or proxy.url, tmp_path, name=name).keys("a/")
    assert words in str(error.value)
