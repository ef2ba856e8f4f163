"""Export a trained model for QGIS and other programs: ONNX file, STAC item and model card.

python -m pipeline.export -o FOLDER
python -m pipeline.export -o FOLDER --rev ce-1                    # the model and the scores of an experiment
python -m pipeline.export -o FOLDER --model other/model --metrics other/evaluate.json
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.cli import one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.core.failures import reraise_stage_errors
from pipeline.core.files import atomic_path, read_json, write_json, write_text
from pipeline.inference.revision import MODEL, model_of, text_of
from pipeline.learning.model import Model, load_model
from pipeline.publishing.card import model_card
from pipeline.publishing.onnx_model import check_onnx, write_onnx
from pipeline.publishing.publication import CARD, FILES, ITEM, ONNX, Publication, Scores, parse_scores
from pipeline.publishing.stac_mlm import mlm_item

METRICS = "metrics/evaluate.json"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("-o", "--out", type=Path, required=True, metavar="FOLDER", help=f"the folder to write: {', '.join(FILES)}")
    model = command.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, default=Path(MODEL), metavar="FOLDER", help=f"default: {MODEL}")
    model.add_argument("--rev", metavar="EXPERIMENT", help="the model of an experiment or commit, with its scores")
    add(
        "--metrics",
        type=Path,
        metavar="FILE",
        help=f"scores of this model; default: {METRICS}, if it is of this model",
    )
    add("--overwrite", action="store_true", help="replace an existing export")
    return command


def require_replaceable(out: Path, overwrite: bool) -> None:
    """Check the folder before there is anything to write.

    Raises:
        PipelineError: it exists without `--overwrite`, or is not an export; only an export is deleted.
    """
    if out.suffix in (".onnx", ".json", ".md"):
        raise PipelineError(f"-o {out}: give the name of a folder, in which {', '.join(FILES)} are written")
    if not (out.exists() or out.is_symlink()):
        return
    if not is_export(out):
        raise PipelineError(
            f"-o {out} exists and is not an export ({', '.join(FILES)} and no other file); give another folder"
        )
    if not overwrite:
        raise PipelineError(f"-o {out} exists; --overwrite replaces it")


def is_export(folder: Path) -> bool:
    """Return whether a folder contains an export and nothing else."""
    if folder.is_symlink() or not folder.is_dir() or {path.name for path in folder.iterdir()} != set(FILES):
        return False
    try:
        return "model_sha256" in read_json(folder / ITEM)["properties"]
    except (ValueError, OSError, LookupError, TypeError):  # no JSON, or other JSON
        return False


def find_scores(arguments: argparse.Namespace, model: Model) -> tuple[Scores | None, str]:
    """Return the scores of the model, or None and why there are none.

    Raises:
        PipelineError: the file that the user named cannot be read, or has the scores of another model.
    """
    if arguments.metrics:
        return parse_scores(_read(arguments.metrics), str(arguments.metrics), model), ""
    try:
        if arguments.rev:
            text, name = text_of(arguments.rev, METRICS), f"{METRICS} of {arguments.rev}"
        elif Path(METRICS).is_file():
            text, name = _read(Path(METRICS)), METRICS
        else:
            return None, f"there is no {METRICS}"
        return parse_scores(text, name, model), ""
    except PipelineError as error:
        return None, str(error).partition(";")[0]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise PipelineError(f"--metrics {path}: cannot be read ({reason}); give a file of the stage evaluate") from None


def write_export(out: Path, model: Model, scores: Scores | None, why_no_scores: str) -> Publication:
    """Write the three files, all or none.

    Raises:
        PipelineError: the network cannot be exported, differs from PyTorch, or the folder cannot be written.
    """
    try:
        with atomic_path(out) as partial:
            partial.mkdir()
            write_onnx(model, partial / ONNX)
            publication = Publication(model, scores, why_no_scores, check_onnx(partial / ONNX, model))
            write_text(partial / CARD, model_card(publication))
            write_json(partial / ITEM, mlm_item(publication, partial))
    except PipelineError as error:
        raise PipelineError(str(error).replace(str(partial), str(out))) from None
    except OSError as error:
        reraise_stage_errors(error)
        raise PipelineError(f"-o {out}: cannot be written ({error.strerror or error}); give another folder") from None
    return publication


def run(arguments: argparse.Namespace) -> str:
    """Export the model that the command line names; return a summary.

    Raises:
        PipelineError: the user's mistake.
    """
    out = arguments.out
    require_replaceable(out, arguments.overwrite)
    model = load_model(model_of(arguments.rev) if arguments.rev else arguments.model)
    model.segmenter.eval()
    scores, why_no_scores = find_scores(arguments, model)
    if why_no_scores:
        print(f"note: no scores in the card: {why_no_scores}", file=sys.stderr, flush=True)
    check = write_export(out, model, scores, why_no_scores).check
    return "; ".join(
        [
            f"{out}, {ONNX} {(out / ONNX).stat().st_size / 1e6:.3g} MB",
            f"same class as PyTorch on {check.equal_share:.4%} of a tile's pixels, largest difference of "
            f"probabilities {check.largest_difference:.2g}",
            f"calibrated, T = {model.temperature:.3g}",
            "with the scores of this model" if scores else "without scores",
        ]
    )


def main() -> None:
    """Run the command; a user's mistake is one line."""
    arguments = parser().parse_args()
    with one_line_errors("export"):
        print(f"export: {run(arguments)}")


if __name__ == "__main__":
    main()
