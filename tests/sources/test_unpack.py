import errno
import io
import os
import random
import struct
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, partition_results
from pipeline.sources import unpack
from pipeline.sources.unpack import Limits, member_names, read_tar, safe_path, unzip
from tests.sources.hub import tar

UNSAFE = ["../out.txt", "/etc/out.txt", "a/../../out.txt", "C:/out.txt", "..\\out.txt", "\\\\host\\out", ".."]


def zipped(folder: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(name, text, zipfile.ZIP_DEFLATED)
    return path


def unpacked(archive: Path, **limits: int) -> list[Path | Failure]:
    return list(unzip(archive, out(archive), Limits(**limits)))


def out(archive: Path) -> Path:
    folder = archive.parent / "out"
    folder.mkdir(exist_ok=True)
    return folder


def test_names_of_members_are_listed_without_folders(tmp_path: Path) -> None:
    assert member_names(zipped(tmp_path, ("a/", b""), ("a/b.txt", b"b"), ("../c", b"c"))) == ["a/b.txt", "../c"]


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_paths_are_refused(name: str) -> None:
    with pytest.raises(PipelineError, match="is outside the archive's folder and is not unpacked"):
        safe_path(name)


@pytest.mark.parametrize(("name", "path"), [("a/b.tif", "a/b.tif"), ("./a", "a"), ("a//b", "a/b"), ("..a", "..a")])
def test_other_paths_are_normalized(name: str, path: str) -> None:
    assert safe_path(name) == PurePosixPath(path)


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_member_of_a_zip_fails_and_the_others_are_unpacked(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path, ("images/a.tif", b"a"), (zipfile.ZipInfo(name), b"evil"), ("masks/a.tif", b"b"))
    paths, failures = partition_results(unpacked(archive))
    assert [str(path) for path in paths] == ["images/a.tif", "masks/a.tif"]
    (failure,) = failures
    assert "is outside the archive's folder" in failure.reason
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["a.zip", "out/images/a.tif", "out/masks/a.tif"]


@pytest.mark.parametrize("kind", [0o120777, 0o020666, 0o060660, 0o010644])
def test_links_and_devices_in_a_zip_fail(tmp_path: Path, kind: int) -> None:
    link = zipfile.ZipInfo("images/link.tif")
    link.external_attr = kind << 16
    results = unpacked(zipped(tmp_path, (link, b"/etc/passwd"), ("images/a.tif", b"a")))
    reason = "the member 'images/link.tif' is a link or a device, not a file"
    assert results == [Failure("images/link.tif", reason), Path("images/a.tif")]


def test_a_zip_bomb_is_refused_by_its_ratio_and_by_its_size(tmp_path: Path) -> None:
    archive = zipped(tmp_path, ("bomb.tif", bytes(30_000_000)))
    with pytest.raises(PipelineError, match="a.zip unpacks to more than 100 times its size, more than allowed"):
        unpacked(archive, ratio=100)
    among_others = zipped(tmp_path, ("noise.tif", random.Random(1).randbytes(10**6)), ("bomb.tif", bytes(30_000_000)))
    noise, bomb = unpacked(among_others, ratio=100)
    assert noise == Path("noise.tif")
    assert isinstance(bomb, Failure)
    assert "'bomb.tif' declares 30000000 bytes in " in bomb.reason
    with pytest.raises(PipelineError, match=r"contains at least 2 files of 0.0 GB; at most .* and 0 GB are allowed"):
        unpacked(archive, total=20_000_000)
    with pytest.raises(PipelineError, match=r"at most 0 files"):
        unpacked(archive, members=0)


def test_a_member_with_more_bytes_than_declared_fails(tmp_path: Path) -> None:
    archive = zipped(tmp_path, ("a.tif", bytes(5_000_000)))
    text = bytearray(archive.read_bytes())
    for at in (text.find(b"PK\x01\x02") + 24, text.find(b"PK\x03\x04") + 22):  # the uncompressed size
        text[at : at + 4] = struct.pack("<I", 1000)
    archive.write_bytes(text)
    (failure,) = unpacked(archive)
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("the member 'a.tif' ")
    assert not (tmp_path / "out/a.tif").exists()


def test_a_member_with_fewer_bytes_than_declared_fails(tmp_path: Path) -> None:
    archive = zipped(tmp_path, ("a.tif", bytes(1000)))
    text = bytearray(archive.read_bytes())
    for at in (text.find(b"PK\x01\x02") + 24, text.find(b"PK\x03\x04") + 22):  # the uncompressed size
        text[at : at + 4] = struct.pack("<I", 2000)
    archive.write_bytes(text)
    assert unpacked(archive) == [Failure("a.tif", "the member 'a.tif' contains fewer bytes than declared")]
    assert not (tmp_path / "out/a.tif").exists()


def test_a_damaged_member_fails_and_the_others_are_unpacked(tmp_path: Path) -> None:
    archive = zipped(tmp_path, ("a.tif", b"abc" * 1000), ("b.tif", b"b"))
    text = bytearray(archive.read_bytes())
    text[40] ^= 0xFF
    archive.write_bytes(text)
    first, second = unpacked(archive)
    assert isinstance(first, Failure)
    assert first.reason.startswith("the member 'a.tif' is damaged: ")
    assert second == Path("b.tif")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.tif"]


def test_a_member_without_a_name_fails(tmp_path: Path) -> None:
    archive = zipped(tmp_path, ("a", b"a"), ("b.tif", b"b"))
    text = bytearray(archive.read_bytes())
    lengths = text.find(b"PK\x01\x02") + 28  # of its name and extra field, in the central directory
    text[lengths : lengths + 4] = struct.pack("<HH", 0, len("a"))
    archive.write_bytes(text)
    first, second = unpacked(archive)
    assert first == Failure("", "the member '' is outside the archive's folder and is not unpacked")
    assert second == Path("b.tif")


def test_a_full_disk_ends_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(unpack, "_copy", full)
    with pytest.raises(StageError, match="^No space left on device; free disk space"):
        unpacked(zipped(tmp_path, ("a.tif", b"abc"), ("b.tif", b"b")))


def test_a_duplicate_member_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.tif", "first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.tif", "second")
    assert unpacked(path)[1] == Failure("a.tif", "the member 'a.tif' occurs twice")
    assert (tmp_path / "out/a.tif").read_text() == "first"


def test_a_file_that_is_not_a_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("<html>please log in</html>")
    with pytest.raises(PipelineError, match=r"a.zip is not a readable zip: File is not a zip file; remove it"):
        unpacked(tmp_path / "a.zip")


def read(folder: Path, text: bytes, largest: int = 1000, **limits: int) -> list[tuple[PurePosixPath, bytes] | Failure]:
    (folder / "a.tar.gz").write_bytes(text)
    return list(read_tar(folder / "a.tar.gz", largest, Limits(**limits)))


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


def test_a_tar_bomb_is_refused(tmp_path: Path) -> None:
    bomb = tar({f"{number}.json": bytes(200_000) for number in range(50)})
    with pytest.raises(PipelineError, match="unpacks to more than 100 times its size, more than allowed"):
        read(tmp_path, bomb, 10**6, ratio=100)
    with pytest.raises(PipelineError, match="at most 10 files"):
        read(tmp_path, bomb, 10**6, members=10)
    with pytest.raises(PipelineError, match="and 0 GB are allowed"):
        read(tmp_path, bomb, 10**6, total=10**6)


@pytest.mark.parametrize("text", [b"", b"<html>", tar({"a.json": b"{}" * 5000})[:60]])
def test_a_file_that_is_not_a_tar_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(PipelineError, match=r"a.tar.gz is not a readable tar.gz: "):
        read(tmp_path, text, 10**5)


def test_an_uncompressed_tar_is_refused(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w"):
        pass
    with pytest.raises(PipelineError, match="is not a readable tar.gz"):
        read(tmp_path, plain.getvalue())
