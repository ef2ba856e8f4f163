import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pipeline.core.errors import PipelineError
from pipeline.sources.listing import Bucket
from pipeline.sources.transfer import USER_AGENT
from tests.sources.bucket import Front, bucket_server, fronted, put

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


@pytest.fixture
def front(endpoint: str) -> Iterator[Front]:
    with fronted(endpoint) as running:
        yield running


def below(endpoint: str, kept: Path, prefix: str = "below/", name: str = "public") -> Bucket:
    return Bucket(endpoint, name, prefix, kept)


def test_the_keys_of_a_folder_are_relative_to_the_prefix_with_size_and_md5(front: Front, tmp_path: Path) -> None:
    md5 = {name: hashlib.md5(name.encode()).hexdigest() for name in ("a/1.txt", "a/deep/2.txt")}
    assert below(front.url, tmp_path).keys("a/") == {
        "a/1.txt": {"size": 7, "md5": md5["a/1.txt"]},
        "a/deep/2.txt": {"size": 12, "md5": md5["a/deep/2.txt"]},
    }
    assert front.lists == ["below/a/"]


def test_the_whole_prefix_and_the_whole_bucket(front: Front, tmp_path: Path) -> None:
    names = ["a/1.txt", "a/deep/2.txt", "ab/3.txt", "b/4.txt", "top.txt"]
    assert list(below(front.url, tmp_path / "prefix").keys("")) == names
    assert list(below(front.url, tmp_path / "bucket", prefix="").keys("")) == [f"below/{name}" for name in names]
    assert below(front.url, tmp_path / "bucket", prefix="").folders("") == ["below"]


def test_folders_are_those_directly_below(front: Front, tmp_path: Path) -> None:
    bucket = below(front.url, tmp_path)
    assert (bucket.folders(""), bucket.folders("a/")) == (["a", "ab", "b"], ["deep"])
    assert front.lists == ["below/…", "below/a/…"]


def test_what_was_listed_once_is_not_asked_for_again_and_each_folder_counts_for_itself(
    front: Front, tmp_path: Path
) -> None:
    first = below(front.url, tmp_path)
    answers = first.keys("a/"), first.folders("")
    front.seen.clear()
    again = below(front.url, tmp_path)
    assert (again.keys("a/"), again.folders("")) == answers
    assert front.seen == []
    assert list(again.keys("b/")) == ["b/4.txt"]
    assert front.lists == ["below/b/"]


def test_an_empty_answer_is_asked_for_again(front: Front, tmp_path: Path) -> None:
    bucket = below(front.url, tmp_path)
    for _ in range(2):
        assert (bucket.keys("gone/"), bucket.folders("gone/")) == ({}, [])
    assert front.lists.count("below/gone/") == 2
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_does_not_say_who_it_is_is_refused_and_ours_says_it(front: Front, tmp_path: Path) -> None:
    with requests.Session() as anybody:
        assert anybody.get(f"{front.url}/public/below/top.txt", timeout=9).status_code == 403
    front.seen.clear()
    assert below(front.url, tmp_path).keys("")
    assert front.seen
    assert all(seen.headers["User-Agent"].startswith(USER_AGENT) for seen in front.seen)


def test_a_person_s_own_keys_are_hidden_and_come_back(
    front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"AWS_PROFILE": "of-theirs", "AWS_ACCESS_KEY_ID": "AKIAXXXX", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    assert below(front.url, tmp_path).keys("b/")
    assert "Authorization" not in front.seen[0].headers
    assert {name: os.environ[name] for name in theirs} == theirs


@pytest.mark.parametrize(
    ("at", "name", "words"),
    [
        ("", "gone", "/gone/below/a/ cannot be listed: The specified bucket does not exist"),
        ("http://a_b:9", "public", "http://a_b:9/public/below/a/ cannot be listed: Invalid endpoint"),
        ("http://127.0.0.1:9/", "public", "http://127.0.0.1:9/public/below/a/ cannot be listed: "),
    ],
)
def test_what_cannot_be_listed_is_one_line(front: Front, tmp_path: Path, at: str, name: str, words: str) -> None:
    with pytest.raises(PipelineError) as error:
        below(at or front.url, tmp_path, name=name).keys("a/")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
