"""Does context matter in the sample? The default network against a random forest that sees one pixel's colour.

    python benchmarks/sample_context.py [--split-seeds 1 2] [--epochs 8]

Prints the mean IoU of both on chips that neither has seen, class by class, and the difference.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from sklearn.ensemble import RandomForestClassifier

from pipeline.datasets import CLASSES
from pipeline.raster.geotiff import open_geotiff
from pipeline.sources.base import SourceSettings
from pipeline.sources.sample import fetch_sample

SIZE = 512
CLASS_COUNT = len(CLASSES["landcoverai"].classes)


def load_chips(sample_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Every full tile of the sample: images_NCHW of uint8 and masks_NHW of uint8."""
    images, masks = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        list(fetch_sample("landcoverai", SourceSettings(path="unused", sample_seed=sample_seed), folder))
        for path in sorted((folder / "images").iterdir()):
            with open_geotiff(path) as image, open_geotiff(folder / "masks" / path.name) as mask:
                image_CHW, mask_HW = image.read(), mask.read()[0]
            for row in range(0, mask_HW.shape[0] - SIZE + 1, SIZE):
                for column in range(0, mask_HW.shape[1] - SIZE + 1, SIZE):
                    images.append(image_CHW[:, row : row + SIZE, column : column + SIZE])
                    masks.append(mask_HW[row : row + SIZE, column : column + SIZE])
    return np.stack(images), np.stack(masks)


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the chips to train on, 80 of 100, and of the others."""
    order = np.random.default_rng(seed).permutation(count)
    return order[: count * 8 // 10], order[count * 8 // 10 :]


def train_network(images_NCHW: np.ndarray, masks_NHW: np.ndarray, epochs: int, lr: float) -> torch.nn.Module:
    """U-Net with ResNet18 from scratch: Adam, focal loss, batches of 2, flips and quarter turns, bf16."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model: torch.nn.Module = smp.Unet("resnet18", encoder_weights=None, classes=CLASS_COUNT).to(
        memory_format=torch.channels_last
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    loss_of = smp.losses.FocalLoss("multiclass")
    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        for batch in np.array_split(rng.permutation(len(images_NCHW)), len(images_NCHW) // 2):
            pairs = [augmented(images_NCHW[chip], masks_NHW[chip], rng) for chip in batch]
            images, masks = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(normalised(images))
            loss = loss_of(logits.float(), masks.long())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total:.3f}, {time.perf_counter() - started:.0f} s", flush=True)
    return model.eval()


def augmented(image_CHW: np.ndarray, mask_HW: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A quarter turn and a flip by chance, the same for both."""
    turns, flip = int(rng.integers(4)), int(rng.integers(2))
    image, mask = np.rot90(image_CHW, turns, (1, 2)), np.rot90(mask_HW, turns)
    return (image[..., ::-1].copy(), mask[:, ::-1].copy()) if flip else (image.copy(), mask.copy())


def normalised(images_NCHW: torch.Tensor) -> torch.Tensor:
    """0..255 to about -1..1."""
    return ((images_NCHW.float() - 110) / 50).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def network_scores(model: torch.nn.Module, images_NCHW: np.ndarray, masks_NHW: np.ndarray) -> np.ndarray:
    """IoU of each class, from one confusion matrix."""
    matrix = np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)
    for image, mask in zip(images_NCHW, masks_NHW, strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(normalised(torch.from_numpy(image[None].copy())))
        matrix += confusion(mask, logits.argmax(1)[0].numpy())
    return iou(matrix)


def forest_scores(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """IoU of each class of a random forest on red, green, blue of single pixels."""
    rng = np.random.default_rng(0)
    pixels, labels = (np.moveaxis(train[0], 1, -1).reshape(-1, 3), train[1].reshape(-1))
    some = rng.choice(len(labels), 200_000, replace=False)
    forest = RandomForestClassifier(100, min_samples_leaf=5, n_jobs=2, random_state=0).fit(pixels[some], labels[some])
    matrix = np.zeros((CLASS_COUNT, CLASS_COUNT), np.int64)
    for image, mask in zip(*test, strict=True):
        matrix += confusion(mask, forest.predict(np.moveaxis(image, 0, -1).reshape(-1, 3)).reshape(mask.shape))
    return iou(matrix)


def confusion(target_HW: np.ndarray, predicted_HW: np.ndarray) -> np.ndarray:
    """Pixels by true class (rows) and predicted class (columns)."""
    codes = target_HW.astype(np.int64) * CLASS_COUNT + predicted_HW
    return np.bincount(codes.ravel(), minlength=CLASS_COUNT**2).reshape(CLASS_COUNT, CLASS_COUNT)


def iou(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union of each class."""
    hits = np.diag(matrix)
    return np.asarray(hits / np.maximum(matrix.sum(0) + matrix.sum(1) - hits, 1))


def main() -> None:
    """Compare both, once a split seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split-seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sample-seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    images, masks = load_chips(options.sample_seed)
    names = CLASSES["landcoverai"].names
    for seed in options.split_seeds:
        train, test = split(len(images), seed)
        forest = forest_scores((images[train], masks[train]), (images[test], masks[test]))
        model = train_network(images[train], masks[train], options.epochs, options.lr)
        network = network_scores(model, images[test], masks[test])
        for who, scores in (("forest", forest), ("network", network)):
            print(f"{who}: mean IoU {scores.mean():.3f}", *(f"{n} {s:.3f}" for n, s in zip(names, scores, strict=True)))
        ahead = network.mean() - forest.mean()
        print(f"synthetic sample, split seed {seed}: network - forest = {ahead:.3f}", flush=True)


if __name__ == "__main__":
    main()
