"""Whether a distance of a window's features to those of the training chips flags imagery unlike training's.

    make repro && python -m benchmarks.applicability [--model FOLDER --chips FOLDER --split FOLDER] [NAME=FOLDER[:bgr]]…

The default is the model of the last run. Each NAME is a folder of foreign images (GeoTIFF or PNG; of their first three
bands, `:bgr` reverses the order). Masks with the same names in the folder `masks` beside it are used if the model has
their class ids. Own windows are compared with the training windows of other groups only, so that no neighbour is in the
reference. The network was trained on the training groups, so held-out windows are new to it only if the split is by
group: shared groups are counted. Printed by score:

    AUROC of foreign against held-out windows, with a 95 % bootstrap interval over images (foreign) and groups (own);
    images that overlap or show one place at several dates are not independent, and the interval is too narrow then;
    false alarms and detections above the 95th percentile of the leave-one-group-out scores of training windows;
    the same for held-out windows with radiometric faults;
    Spearman's correlation of the scores with the windows' errors.

Scores: Mahalanobis distance with shrunk covariance (Lee et al. 2018), k-th nearest neighbour of normalised features
(Sun et al. 2022, k = 5), cosine distance to the nearest; of the mean of the last encoder stage (`last`), or of mean and
standard deviation of all stages (`all`). Without a network: mean and standard deviation of RGB (`rgb`). And 1 - mean
confidence.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.metrics import roc_auc_score

from pipeline.formats.png import read_mask
from pipeline.formats.splits import read_groups
from pipeline.inference.network import LoadedModel, load_model
from pipeline.learning.data import read_list
from pipeline.raster.gdal import open_dataset

SIDE = 256
NEIGHBOUR = 5
FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bands reversed": lambda image: image[..., ::-1],
    "x 0.5": lambda image: image * 0.5,
    "x 1.5": lambda image: image * 1.5,
    "gamma 2": lambda image: 255 * (image / 255) ** 2,
    "+ 0.1 / 0.3": lambda image: image + 85.0,  # Sentinel-2's offset of 1,000, ignored, under a stretch of 0 to 0.3
    "- 25": lambda image: image - 25.0,
}


@dataclass(frozen=True)
class Features:
    """Of N windows."""

    by_name: dict[str, np.ndarray]
    """`rgb`, `last`, `all`: arrays_ND, float64."""
    doubt_N: np.ndarray
    """1 - mean confidence."""
    group_N: np.ndarray
    error_N: np.ndarray
    """1 - pixel accuracy; NaN without labels."""

    def part(self, chosen_N: np.ndarray) -> "Features":
        """Return the chosen windows."""
        by_name = {name: value_ND[chosen_N] for name, value_ND in self.by_name.items()}
        return Features(by_name, self.doubt_N[chosen_N], self.group_N[chosen_N], self.error_N[chosen_N])


def read_image(path: Path) -> np.ndarray:
    """Read the first three bands as image_HWC."""
    if path.suffix == ".png":
        return np.asarray(Image.open(path).convert("RGB"))
    with open_dataset(path) as dataset:
        return np.moveaxis(dataset.read([1, 2, 3]), 0, -1)


def labels_of(image: Path) -> np.ndarray | None:
    """Read the mask of the same name in the folder `masks` beside the images', if there is one."""
    path = image.parent.parent / "masks" / image.name
    if not path.is_file():
        return None
    if path.suffix == ".png":
        return read_mask(path)
    with open_dataset(path) as dataset:
        return np.asarray(dataset.read(1))


def windows(image_HWC: np.ndarray) -> list[np.ndarray]:
    """Cut whole windows from the upper left."""
    height, width = image_HWC.shape[:2]
    corners = [(row, col) for row in range(0, height - SIDE + 1, SIDE) for col in range(0, width - SIDE + 1, SIDE)]
    return [image_HWC[row : row + SIDE, col : col + SIDE] for row, col in corners]


def describe(model: LoadedModel, image_HWC: np.ndarray) -> tuple[dict[str, np.ndarray], float, np.ndarray]:
    """Return a window's features, 1 - mean confidence, and predicted class ids_HW."""
    segmenter, table = model.model.segmenter, model.model.table
    images_NCHW = torch.from_numpy(np.moveaxis(image_HWC, -1, 0).copy()[None])
    stages: list[torch.Tensor] = []
    encoder = segmenter.net.get_submodule("encoder")
    hook = encoder.register_forward_hook(lambda _module, _input, output: stages.extend(output[1:]))
    logits_NKHW = segmenter.predict_logits(images_NCHW, model.device)
    hook.remove()
    p_KHW = torch.softmax(logits_NKHW.float() / model.model.temperature, 1)[0]
    top_HW, index_HW = p_KHW.max(0)
    means = [stage.float().mean((0, 2, 3)).numpy() for stage in stages]
    stds = [stage.float().std((0, 2, 3)).numpy() for stage in stages]
    rgb = np.concatenate([image_HWC.mean((0, 1)), image_HWC.std((0, 1))])
    features = {"rgb": rgb, "last": means[-1], "all": np.concatenate([*means, *stds])}
    return features, 1 - float(top_HW.mean()), np.asarray(table.ids)[index_HW.numpy()]


def extract(model: LoadedModel, images: list[tuple[str, np.ndarray, np.ndarray | None]]) -> Features:
    """Extract the features of all windows of images: (group, image_HWC, mask_HW)."""
    rows, doubts, groups, errors = [], [], [], []
    for group, image_HWC, mask_HW in images:
        masks = windows(mask_HW) if mask_HW is not None else [None] * len(windows(image_HWC))
        for window_HWC, truth_HW in zip(windows(image_HWC), masks, strict=True):
            features, doubt, ids_HW = describe(model, window_HWC)
            labelled_HW = np.isin(truth_HW, model.model.table.ids) if truth_HW is not None else np.zeros(1, bool)
            errors.append(np.mean((ids_HW != truth_HW)[labelled_HW]) if labelled_HW.any() else np.nan)
            rows.append(features)
            doubts.append(doubt)
            groups.append(group)
    by_name = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    return Features(by_name, np.array(doubts), np.array(groups), np.array(errors))


def mahalanobis(train_ND: np.ndarray, x_MD: np.ndarray) -> np.ndarray:
    """Return distances under the Ledoit-Wolf covariance, through its eigenvectors."""
    centred_ND, shrinkage = train_ND - train_ND.mean(0), ledoit_wolf_shrinkage(train_ND)
    _, singular_R, axes_RD = np.linalg.svd(centred_ND, full_matrices=False)
    variance_R = singular_R**2 / len(train_ND)
    floor = max(shrinkage * variance_R.sum() / train_ND.shape[1], 1e-12)
    difference_MD = x_MD - train_ND.mean(0)
    along_MR = difference_MD @ axes_RD.T
    rest_M = np.maximum((difference_MD**2).sum(1) - (along_MR**2).sum(1), 0)
    return np.asarray(np.sqrt((along_MR**2 / ((1 - shrinkage) * variance_R + floor)).sum(1) + rest_M / floor))


def neighbour(train_ND: np.ndarray, x_MD: np.ndarray, k: int) -> np.ndarray:
    """Return the distance to the k-th nearest, of normalised features; k = 1 orders as the cosine does."""
    unit_ND, unit_MD = (a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12) for a in (train_ND, x_MD))
    return np.sort(np.sqrt(np.maximum(2 - 2 * unit_MD @ unit_ND.T, 0)), axis=1)[:, k - 1]


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mahalanobis": mahalanobis,
    "knn": lambda train_ND, x_MD: neighbour(train_ND, x_MD, NEIGHBOUR),
    "cosine": lambda train_ND, x_MD: neighbour(train_ND, x_MD, 1),
}
NAMES = ["rgb mahalanobis", *(f"{kind} {method}" for kind in ("last", "all") for method in METHODS), "1 - confidence"]


def score(name: str, train: Features, x: Features) -> np.ndarray:
    """Score windows against training windows; `rgb` and `all` are standardised by the training windows."""
    if name == "1 - confidence":
        return x.doubt_N
    kind, method = name.split()
    train_ND, x_ND = train.by_name[kind], x.by_name[kind]
    if kind != "last":
        mean_D, std_D = train_ND.mean(0), train_ND.std(0) + 1e-6
        train_ND, x_ND = (train_ND - mean_D) / std_D, (x_ND - mean_D) / std_D
    return METHODS[method](train_ND, x_ND)


def score_own(name: str, train: Features, x: Features) -> np.ndarray:
    """Score each group against the training windows of the other groups."""
    out_N = np.empty(len(x.doubt_N))
    for group in np.unique(x.group_N):
        here_N = x.group_N == group
        out_N[here_N] = score(name, train.part(train.group_N != group), x.part(here_N))
    return out_N


def auroc(own_N: np.ndarray, foreign_N: np.ndarray) -> float:
    """Probability that a foreign window scores higher than an own one."""
    truth = np.r_[np.zeros(len(own_N)), np.ones(len(foreign_N))]
    return float(roc_auc_score(truth, np.r_[own_N, foreign_N]))


def _by_group(scores_N: np.ndarray, group_N: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the scores of each group, and how many there are."""
    parts = [scores_N[group_N == group] for group in np.unique(group_N)]
    return parts, np.array([len(part) for part in parts])


def interval(own: tuple[np.ndarray, np.ndarray], foreign: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    """Bootstrap the AUROC over groups; each argument: scores_N, groups_N."""
    rng = np.random.default_rng(0)
    (own_G, n_G), (foreign_H, m_H) = _by_group(*own), _by_group(*foreign)
    wins_GH = np.array([[np.sum(np.sign(f[:, None] - o) + 1) / 2 for f in foreign_H] for o in own_G])
    draws = []
    for _ in range(2000):
        g, h = rng.integers(len(n_G), size=len(n_G)), rng.integers(len(m_H), size=len(m_H))
        draws.append(wins_GH[np.ix_(g, h)].sum() / (n_G[g].sum() * m_H[h].sum()))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("data/model"))
    parser.add_argument("--chips", type=Path, default=Path("data/chips/landcoverai"))
    parser.add_argument("--split", type=Path, default=Path("data/split/landcoverai"))
    parser.add_argument("foreign", nargs="*", metavar="NAME=FOLDER[:bgr]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu")
    group_of = read_groups(args.split)

    def load(ids: list[str]) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
        images, masks = args.chips / "images", args.chips / "masks"
        return [(group_of[i], read_image(images / f"{i}.png"), read_mask(masks / f"{i}.png")) for i in ids]

    held_images = load(read_list(args.split / "val.txt") + read_list(args.split / "test.txt"))
    train, held = extract(model, load(read_list(args.split / "train.txt"))), extract(model, held_images)
    others: dict[str, Features] = {}
    for argument in args.foreign:
        name, _, folder = argument.partition("=")
        path, _, order = folder.partition(":")
        files = sorted(p for p in Path(path).iterdir() if p.suffix in (".png", ".tif"))
        step = -1 if order == "bgr" else 1
        others[name] = extract(model, [(p.stem, read_image(p)[..., ::step], labels_of(p)) for p in files])
    for name, fault in FAULTS.items():
        faulty = [(g, np.clip(np.rint(fault(i.astype(float))), 0, 255).astype(np.uint8), m) for g, i, m in held_images]
        others[f"fault: {name}"] = extract(model, faulty)
    report(train, held, others)


def report(train: Features, held: Features, others: dict[str, Features]) -> None:
    """Print the table; see the module."""
    for label, part in (("train", train), ("held", held), *others.items()):
        print(f"{label}: {len(part.doubt_N)} windows, {len(np.unique(part.group_N))} groups")
    shared = set(train.group_N) & set(held.group_N)
    print(f"groups of held that are also in train (network has seen them): {len(shared)}")
    for name in NAMES:
        train_N, held_N = score_own(name, train, train), score_own(name, train, held)
        limit = np.percentile(train_N, 95)
        own_error_N, own_N = np.r_[train.error_N, held.error_N], np.r_[train_N, held_N]
        rho, rho_held = spearmanr(own_N, own_error_N)[0], spearmanr(held_N, held.error_N)[0]
        print(f"\n{name}: false alarms {np.mean(held_N > limit):.2f}; rho with error {rho:.2f}, held {rho_held:.2f}")
        for label, part in others.items():
            scores_N = score(name, train, part)
            low, high = interval((held_N, held.group_N), (scores_N, part.group_N))
            detected = np.mean(scores_N > limit)
            line = f"  {label:22} AUROC {auroc(held_N, scores_N):.3f} ({low:.3f} to {high:.3f}) detected {detected:.2f}"
            known_N = ~np.isnan(part.error_N)
            rho_text = f" rho with error {spearmanr(scores_N[known_N], part.error_N[known_N])[0]:.2f}"
            print(line + (rho_text if known_N.any() else ""))


if __name__ == "__main__":
    main()
