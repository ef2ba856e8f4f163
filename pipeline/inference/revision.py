"""The model of an experiment or another revision, out of DVC's cache."""

from pathlib import Path

import dvc.api
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError, resolve_rev

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path

MODEL = "data/model"


def text_of(revision: str, path: str) -> str:
    """Read a text file of a revision.

    Args:
        revision: name of an experiment, a commit, a branch or a tag.
        path: below the root of the repository.

    Raises:
        PipelineError: there is no such revision, or it lacks the file.
    """
    try:
        return str(dvc.api.read(path, rev=revision))
    except (DvcException, SCMError, OSError) as error:
        raise PipelineError(f"--rev {revision}: cannot read its {path} ({' '.join(str(error).split())})") from None


def model_of(revision: str) -> Path:
    """Return a folder with the model of a revision, copied into the cache folder on first use.

    Args:
        revision: name of an experiment, a commit, a branch or a tag.

    Raises:
        PipelineError: there is no such revision, or its model is neither in DVC's cache nor in its remote.
    """
    try:
        with Repo() as repo:
            commit = resolve_rev(repo.scm, revision)
        folder = cache_folder() / "models" / commit
        if not folder.is_dir():
            with atomic_path(folder) as partial:
                DVCFileSystem(rev=commit).get(MODEL, str(partial), recursive=True)
    except (DvcException, SCMError, OSError) as error:
        raise PipelineError(
            f"--rev {revision}: cannot get its model ({' '.join(str(error).split())}); name an experiment (dvc exp "
            "show) or a commit whose model is in DVC's cache, or give a folder: --model"
        ) from None
    return Path(folder)
