"""The model card: a Markdown page with the front matter of the Hugging Face hub. Its text is in `card.md.j2`."""

import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pipeline.formats.chips import IMAGE_BANDS
from pipeline.publishing.onnx_model import TILE
from pipeline.publishing.publication import ITEM, ONNX, Publication
from pipeline.publishing.stac_mlm import hex_colour, raw_limits

TASK = "image-segmentation"
TAGS = ("onnx", "semantic-segmentation", "land-cover", "remote-sensing")
OWN_LICENCE = "that-of-the-training-images"


def model_card(publication: Publication) -> str:
    """Write the card; it contains only what the model and its scores record."""
    model, imagery = publication.model, publication.model.imagery
    limits = raw_limits(imagery)
    low, high = limits or (0.0, 255.0)
    is_numbered = all(band.isdecimal() for band in imagery.bands)
    return _template().render(
        vars(publication),
        name=publication.name,
        scores=publication.scores and publication.scores.model_dump(),
        front_matter=front_matter(publication),
        files={"onnx": ONNX, "item": ITEM},
        tile=TILE,
        data=model.data,
        imagery=imagery,
        calibration=model.calibration,
        params=model.params,
        parameters=f"{publication.parameters:,}",
        sizes=", ".join(f"{size:g}" for size in model.pixel_sizes),
        limits=limits,
        low=low,
        high=high,
        is_8bit=limits == (0, 255),
        conversion=_conversion(limits),
        bands="red, green and blue" if len(imagery.bands) == IMAGE_BANDS else f"bands {', '.join(imagery.bands)}",
        band_numbers=[int(band) if is_numbered else number for number, band in enumerate(imagery.bands, 1)],
    )


def front_matter(publication: Publication) -> str:
    """Return YAML for the hub (`modelcard.md` of its documentation).

    `datasets` is left out: the hub's names of the datasets are not known here. For a licence without an identifier
    the hub takes `other` with a name.
    """
    model, spdx = publication.model, publication.spdx
    results = _eval_results(publication)
    data = ModelCardData(
        license=spdx.lower() if spdx else "other",
        license_name=None if spdx else OWN_LICENCE,
        library_name="onnx",
        pipeline_tag=TASK,
        tags=[*TAGS, model.config.architecture, *(["synthetic"] if model.imagery.synthetic else [])],
        model_name=publication.name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _eval_results(publication: Publication) -> list[EvalResult]:
    scores, model = publication.scores, publication.model
    if scores is None:
        return []
    synthetic = ", synthetic sample" if model.imagery.synthetic else ""
    metrics = (("mean_iou", "Mean IoU", scores.mean_iou), ("accuracy", "Pixel accuracy", scores.pixel_accuracy))
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=model.data.dataset,
            dataset_name=f"{model.data.dataset}{synthetic}",
            dataset_split="test",
            metric_type=kind,
            metric_name=name,
            metric_value=value,
        )
        for kind, name, value in metrics
        if value is not None
    ]


def _conversion(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return "each chip from its own smallest to its own largest value, band by band"
    if limits == (0, 255):
        return "none: values are 8-bit"
    low, high = limits
    return f"255 * (value - {low:g}) / ({high:g} - {low:g}), rounded, and cut off at 0 and 255"


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "plain": _plain,
        "hex_colour": hex_colour,
        "number": _number,
        "per_cent": lambda value: f"{100 * value:.1f} %",
        "limits": _with_limits,
    }
    return environment.get_template("card.md.j2")


def _plain(name: str) -> str:
    """Escape a user's name, so that Markdown shows it as it is in a table."""
    return re.sub(r"[\\`*\[\]<>~]|&(?=#?\w+;)", r"\\\g<0>", name).replace("|", "\\|")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_limits(values: Mapping[str, float | None], key: str, label: str = "") -> str:
    low, high = values[f"{key}_low"], values[f"{key}_high"]
    limits = "" if low is None or high is None else f" ({label}{low:.3f} to {high:.3f})"
    return f"{_number(values[key])}{limits}"
