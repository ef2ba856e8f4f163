"""Checksums of the files in a raw folder."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256


@dataclass(frozen=True)
class Checksums:
    """Return the SHA-256 of files, checked against those at download."""

    expected: dict[Path, str]
    """SHA-256 at download by file; empty without a manifest, where any file is accepted."""
    is_local: bool = False
    """Whether the files are copies of the user's own."""

    def __call__(self, path: Path) -> str:
        """Return the SHA-256 of a file.

        Raises:
            PipelineError: the file was changed or added since its download.
        """
        if self.expected and path not in self.expected:
            raise PipelineError(
                f"{path} was added after the download; put it next to the original, not the copy, and run "
                "`dvc repro`, or remove it"
            )
        checksum = sha256(path)
        expected = self.expected.get(path, checksum)
        if checksum == expected:
            return checksum
        copy_of, advice = "", f"remove {path.name} and run `dvc checkout` or `dvc repro`"
        if self.is_local:
            copy_of, advice = "the copy of ", "fix the original, not its copy, and run `dvc repro`"
        raise PipelineError(
            f"{copy_of}{path} was changed after the download: its SHA-256 is {checksum}, but the manifest has "
            f"{expected}; {advice}"
        )
