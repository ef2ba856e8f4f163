"""The model card: a Markdown page with the front matter of the Hugging Face hub."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from pipeline.formats.chips import Imagery
from pipeline.publishing.onnx_model import TILE
from pipeline.publishing.publication import ONNX, Publication
from pipeline.publishing.stac_mlm import hex_colour, raw_limits
from pipeline.publishing.usage import is_8bit, usage

UNKNOWN = "not recorded"
TASK = "image-segmentation"
TAGS = ("onnx", "semantic-segmentation", "land-cover", "remote-sensing")
OWN_LICENCE = "that-of-the-training-images"
SYNTHETIC = (
    "> **Trained on synthetic images.** They are made from a seed by the built-in sample; scores on them hold for no "
    "real imagery, and maps of real imagery are meaningless."
)


def model_card(publication: Publication) -> str:
    """Write the card; it contains only what the model and its scores record."""
    model = publication.model
    blocks = [
        [f"# {publication.name}"],
        *([[SYNTHETIC]] if model.imagery.synthetic else []),
        ["A network that maps land cover: it assigns a class to each pixel of an aerial or satellite image."],
        _table(("", ""), _facts(publication)),
        ["## Classes"],
        _table(("id in maps", "channel of the output", "class", "colour"), _classes(publication)),
        ["## Scores"],
        *_scores(publication),
        ["## Calibration"],
        [_calibration(publication)],
        ["## Limits"],
        _limits(publication),
        ["## How to use"],
        *usage(publication),
        ["## Training"],
        _table(("", ""), _training(publication)),
    ]
    return f"---\n{front_matter(publication)}\n---\n\n" + "\n\n".join("\n".join(block) for block in blocks) + "\n"


def front_matter(publication: Publication) -> str:
    """Return YAML for the hub (`modelcard.md` of its documentation).

    `datasets` is left out: the hub's names of the datasets are not known here. For a licence without an identifier
    the hub takes `other` with a name, for an unknown one `unknown`.
    """
    model, spdx = publication.model, publication.spdx
    without_spdx = "other" if model.data else "unknown"
    tags = [*TAGS, model.config.architecture, *(["synthetic"] if model.imagery.synthetic else [])]
    results = _eval_results(publication)
    data = ModelCardData(
        license=spdx.lower() if spdx else without_spdx,
        license_name=OWN_LICENCE if model.data and not spdx else None,
        library_name="onnx",
        pipeline_tag=TASK,
        tags=tags,
        model_name=publication.name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _eval_results(publication: Publication) -> list[EvalResult]:
    scores, model = publication.scores or {}, publication.model
    dataset = model.data.dataset if model.data else "land-cover"
    synthetic = ", synthetic sample" if model.imagery.synthetic else ""
    metrics = (("mean_iou", "Mean IoU", "mean_iou"), ("accuracy", "Pixel accuracy", "pixel_accuracy"))
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=dataset,
            dataset_name=f"{dataset}{synthetic}",
            dataset_split="test",
            metric_type=kind,
            metric_name=name,
            metric_value=scores[key],
        )
        for kind, name, key in metrics
        if scores.get(key) is not None
    ]


def _facts(publication: Publication) -> Iterable[tuple[str, str]]:
    model = publication.model
    data, imagery = model.data, model.imagery
    yield "training data", f"{data.dataset}, source `{data.source}`" if data else UNKNOWN
    chips = f"{data.train_chips} for training, {data.val_chips} to select the epoch" if data else UNKNOWN
    yield "chips", chips
    yield (
        "licence",
        f"images: {data.licence}. The model has no licence of its own; the front matter repeats that of the images"
        if data
        else UNKNOWN,
    )
    sizes = ", ".join(f"{size:g}" for size in model.pixel_sizes)
    yield "pixel sizes", f"{sizes} (units of the CRS, metres for projected ones)" if sizes else UNKNOWN
    yield "bands", imagery.band_list
    yield "conversion to 8 bits", _conversion(imagery)
    yield f"`{ONNX}`", f"fp32; {_check(publication)}"
    yield "model_sha256", f"`{model.digest}`"


def _check(publication: Publication) -> str:
    check = publication.check
    return (
        f"on a generated image of {TILE} x {TILE} px the same class as PyTorch on {check.equal_share:.4%} of the "
        f"pixels, largest difference of probabilities {check.largest_difference:.2g}"
    )


def _conversion(imagery: Imagery) -> str:
    if isinstance(imagery.stretch, str):
        return "each chip from its own smallest to its own largest value, band by band"
    if is_8bit(imagery):
        return "none: values are 8-bit"
    low, high = raw_limits(imagery) or (0, 255)
    return f"255 * (value - {low:g}) / ({high:g} - {low:g}), rounded, and cut off at 0 and 255"


def _classes(publication: Publication) -> Iterable[tuple[str, ...]]:
    for channel, entry in enumerate(publication.model.table.classes):
        yield str(entry.id), str(channel), _plain(entry.name), f"`#{hex_colour(entry.colour)}`"


def _scores(publication: Publication) -> Iterable[list[str]]:
    scores = publication.scores
    if scores is None:
        yield [f"Not included: {publication.why_no_scores}."]
        return
    interval = scores.get("interval") or {}
    approximate = ", approximate" if interval.get("approximate") else ""
    mean = _with_limits(scores, "mean_iou", f"95 % interval{approximate} ")
    why = f"; no interval: {interval['why_null']}" if interval.get("why_null") else ""
    yield [
        f"On {scores.get('chips', 'an unrecorded number of')} test chips, split by strategy "
        f"`{scores.get('split_strategy', UNKNOWN)}`: mean IoU **{mean}**{why}. "
        f"Pixel accuracy {_number(scores.get('pixel_accuracy'))}."
    ]
    yield _table(("class", "IoU", "user's accuracy", "producer's accuracy"), _class_rows(scores))
    yield [
        "User's accuracy is the share of the pixels mapped as a class that belong to it, producer's accuracy the "
        "share of the pixels of a class that are mapped as it. Brackets, if any, are 95 % intervals over independent "
        "groups of chips."
    ]
    if scores.get("quantity_disagreement") is not None:
        yield [
            f"Of all pixels, {_per_cent(scores['quantity_disagreement'])} are wrong because a class has too many or "
            f"too few pixels, and {_per_cent(scores.get('allocation_disagreement'))} because classes are in the wrong "
            "place."
        ]
    yield [_leak(scores)]


def _class_rows(scores: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    by_class = scores.get("classes") or {}
    for name, iou in (scores.get("iou") or {}).items():
        own = by_class.get(name) or {}
        yield _plain(name), _number(iou), _with_limits(own, "users_accuracy"), _with_limits(own, "producers_accuracy")


def _with_limits(values: dict[str, Any], key: str, label: str = "") -> str:
    low, high = values.get(f"{key}_low"), values.get(f"{key}_high")
    limits = "" if low is None or high is None else f" ({label}{low:.3f} to {high:.3f})"
    return f"{_number(values.get(key))}{limits}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _per_cent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _leak(scores: dict[str, Any]) -> str:
    share, at_least = scores.get("leak_share"), scores.get("leak_share_at_least")
    if share is None and at_least is None:
        return "It is not known whether test chips show the same ground as training chips, or adjacent ground."
    known = f"at least {_per_cent(at_least)}" if share is None else _per_cent(share)
    text = f"Leak: {known} of the test chips show the same ground as a training chip, or adjacent ground"
    return f"{text}." if share == 0 else f"{text}, so that scores on new ground may be lower."


def _calibration(publication: Publication) -> str:
    fitted = publication.model.calibration
    if fitted is None:
        return "Not calibrated: probabilities are the softmax of the logits, and may be far from the accuracy."
    parts = [
        f"Probabilities are softmax(logits / T) with T = {fitted.temperature:.3g}, fitted on the validation chips; "
        f"on single groups of them ({fitted.groups}) T is {fitted.lowest:.3g} to {fitted.highest:.3g}."
    ]
    errors = (publication.scores or {}).get("calibration") or {}
    if errors.get("error_before") is not None and errors.get("error_after") is not None:
        after = _with_limits(errors, "error_after", "95 % interval ")
        parts.append(
            f"The expected calibration error on the test chips is {_number(errors['error_before'])} at T = 1 and "
            f"{after} at this T."
        )
    return " ".join(parts)


def _limits(publication: Publication) -> list[str]:
    sizes = publication.model.pixel_sizes
    known = f"pixels of {', '.join(f'{size:g}' for size in sizes)} (units of the CRS)"
    return [
        "- Scores and calibration hold for images like those of the training: the same places, seasons, sensor and "
        "classes.",
        f"- The network is not invariant to scale: it expects {known if sizes else 'the pixel size of its training'}.",
        "- Nothing was measured on other images.",
    ]


def _training(publication: Publication) -> Iterable[tuple[str, str]]:
    model, params = publication.model, publication.model.params
    train = params.get("train") or {}
    weights = params.get("encoder_weights", UNKNOWN)
    yield "architecture", model.config.architecture
    yield "encoder", model.config.encoder
    yield "weights of the encoder at the start", weights if weights in ("none", "imagenet", UNKNOWN) else "from a file"
    yield "loss", str(params.get("loss", UNKNOWN))
    yield "epochs, at most", str(train.get("epochs", UNKNOWN))
    yield "optimiser", f"{train['optimizer']}, learning rate {train['lr']:g}" if "optimizer" in train else UNKNOWN
    yield "seed", str(UNKNOWN if model.seed is None else model.seed)
    yield "precision", model.precision or UNKNOWN
    parameters = sum(parameter.numel() for parameter in model.segmenter.parameters())
    yield "parameters", f"{parameters:,}"


def _plain(name: str) -> str:
    """Escape a user's name, so that Markdown shows it as it is; `_table` escapes the pipe."""
    return re.sub(r"[\\`*\[\]<>~]|&(?=#?\w+;)", r"\\\g<0>", name)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
