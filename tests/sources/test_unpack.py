"""Hostile or damaged archives: nothing outside the folder, no bombs, no damaged files; the others are unpacked."""

import errno
import gzip
import os
import struct
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, partition_results
from pipeline.sources import unpack
from pipeline.sources.unpack import member_names, read_tar, unzip
from tests.sources.hub import tar
from tests.sources.world import files_below

UNSAFE = (
    "../out.txt",
    "/etc/out.txt",
    "a/../../out.txt",
    "C:/out.txt",
    "..\\out.txt",
    "\\\\host\\out",
    "..",
    "a\n.txt",
)
KINDS = {"link": 0o120777, "character device": 0o020666, "block device": 0o060660, "pipe": 0o010644}
BOMB = bytes(30_000_000)


def zipped(folder: Path, *members: tuple[str | zipfile.ZipInfo, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members:
            archive.writestr(name, text, packing)
    return path


def unpacked(archive: Path) -> list[Path | Failure]:
    folder = archive.parent / "out"
    folder.mkdir()
    return list(unzip(archive, folder))


def test_names_of_members_are_listed_without_folders(tmp_path: Path) -> None:
    assert member_names(zipped(tmp_path, ("a/", b""), ("a/b.txt", b"b"), ("../c", b"c"))) == ["a/b.txt", "../c"]


def test_a_member_without_a_name_fails(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"a")
        archive.filelist[0].filename = ""  # as the directory of the archive then states
    assert member_names(tmp_path / "a.zip") == [""]
    assert [type(result) for result in unpacked(tmp_path / "a.zip")] == [Failure]


def test_unsafe_members_of_a_zip_fail_and_the_others_are_unpacked(tmp_path: Path) -> None:
    links = []
    for name, kind in KINDS.items():
        links.append(zipfile.ZipInfo(name))
        links[-1].external_attr = kind << 16
    good = {"images/a.tif": "images/a.tif", "./b": "b", "c//d": "c/d", "..e": "..e"}
    bad = [zipfile.ZipInfo(name) for name in UNSAFE] + links
    paths, failures = partition_results(unpacked(zipped(tmp_path, *((name, b"text") for name in [*bad, *good]))))
    assert sorted(map(str, paths)) == sorted(good.values())
    outside = {name: f"the member {name!r} is outside the archive's folder and is not unpacked" for name in UNSAFE}
    special = {name: f"the member {name!r} is a link or a device, not a file" for name in KINDS}
    assert {failure.file: failure.reason for failure in failures} == outside | special
    assert sorted(files_below(tmp_path)) == sorted(["a.zip", *(f"out/{path}" for path in paths)])


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("RATIO", 100, "a.zip unpacks to more than 100 times its size, more than allowed"),
        ("TOTAL", 20_000_000, "contains at least 1 files of 0.0 GB; at most .* and 0 GB are allowed"),
        ("MEMBERS", 0, "at most 0 files"),
    ],
)
def test_a_zip_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    monkeypatch.setattr(unpack, limit, value)
    with pytest.raises(PipelineError, match=words):
        unpacked(zipped(tmp_path, ("bomb.tif", BOMB)))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_member_with_more_bytes_than_declared_fails(tmp_path: Path) -> None:
    archive = zipped(tmp_path, ("a.tif", bytes(5_000_000)))
    text = bytearray(archive.read_bytes())
    for at in (text.find(b"PK\x01\x02") + 24, text.find(b"PK\x03\x04") + 22):  # the uncompressed size
        text[at : at + 4] = struct.pack("<I", 1000)
    archive.write_bytes(text)
    assert unpacked(archive) == [Failure("a.tif", "the member 'a.tif' is damaged: Bad CRC-32 for file 'a.tif'")]
    assert not (tmp_path / "out/a.tif").exists()


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_fails_and_the_others_are_unpacked(tmp_path: Path, packing: int) -> None:
    archive = zipped(tmp_path, ("a.tif", b"abc" * 1000), ("b.tif", b"b"), packing=packing)
    text = bytearray(archive.read_bytes())
    text[45] ^= 0xFF
    archive.write_bytes(text)
    first, second = unpacked(archive)
    assert isinstance(first, Failure)
    assert first.reason.startswith("the member 'a.tif' is damaged: ")
    assert second == Path("b.tif")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.tif"]


def test_a_full_disk_ends_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(unpack, "_copy", full)
    with pytest.raises(StageError, match="^No space left on device; free disk space"):
        unpacked(zipped(tmp_path, ("a.tif", b"abc"), ("b.tif", b"b")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_member_fails(tmp_path: Path) -> None:
    results = unpacked(zipped(tmp_path, ("a.tif", b"first"), ("a.tif", b"second")))
    assert results[1] == Failure("a.tif", "the member 'a.tif' occurs twice")
    assert (tmp_path / "out/a.tif").read_text() == "first"


def test_a_file_that_is_not_a_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>please log in</html>")
    with pytest.raises(PipelineError, match=r"a.zip is not a readable zip: File is not a zip file; remove it"):
        unpacked(tmp_path / "a.zip")


def read(folder: Path, text: bytes, largest: int = 1000) -> list[tuple[PurePosixPath, bytes] | Failure]:
    (folder / "a.tar.gz").write_bytes(text)
    return list(read_tar(folder / "a.tar.gz", largest))


def test_the_files_of_a_tar_are_read_without_being_written(tmp_path: Path) -> None:
    members = read(tmp_path, tar({"a/b.json": b"{}", "a/c.json": b"[]"}))
    assert members == [(PurePosixPath("a/b.json"), b"{}"), (PurePosixPath("a/c.json"), b"[]")]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_unsafe_members_of_a_tar_fail_and_the_others_are_read(tmp_path: Path) -> None:
    more = []
    for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("dev", tarfile.CHRTYPE)):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        more.append(member)
    files = {"../out.json": b"{}", "/out.json": b"{}", "good.json": b"{}", "big": b"x" * 1001}
    members, failures = partition_results(read(tmp_path, tar(files, *more)))
    assert members == [(PurePosixPath("good.json"), b"{}")]
    reasons = {failure.file: failure.reason for failure in failures}
    assert reasons.keys() == {"../out.json", "/out.json", "big", "link", "hard", "dev"}
    assert reasons["big"] == "the member 'big' has 1001 bytes; at most 1000 are allowed"
    assert reasons["dev"] == "the member 'dev' is a link or a device, not a file"


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("RATIO", 100, "unpacks to more than 100 times its size, more than allowed"),
        ("MEMBERS", 10, "at most 10 files"),
        ("TOTAL", 10**6, "and 0 GB are allowed"),
    ],
)
def test_a_tar_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    monkeypatch.setattr(unpack, limit, value)
    with pytest.raises(PipelineError, match=words):
        read(tmp_path, tar({f"{number}.json": bytes(200_000) for number in range(50)}), 10**6)


WHOLE = tar({"a.json": b"{}" * 5000})


@pytest.mark.parametrize("text", [b"", b"<html>", WHOLE[:60], gzip.decompress(WHOLE)])
def test_a_file_that_is_not_a_tar_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(PipelineError, match=r"a.tar.gz is not a readable tar.gz: "):
        read(tmp_path, text, 10**5)
