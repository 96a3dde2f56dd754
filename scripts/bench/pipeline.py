"""Crop + flip on whole batches of stored uint8 images, against per-image PIL transforms in a DataLoader."""

import statistics
import time
from functools import partial

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from xlearn.data.augment._crop import crop
from xlearn.data.augment._flip import flip
from xlearn.data.batches import Batches
from xlearn.data.task import Examples
from xlearn.data.tasks._mnist5k import mnist5k
from xlearn.encoders.pixels import Pixels
from xlearn.label_spaces.classes import Classes

BATCH, ROUNDS = 64, 7


class PerImage(Dataset):
    """One PIL image at a time, as tutorials do it."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose([
            transforms.ToPILImage(), transforms.RandomCrop(28, padding=2), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(), transforms.Normalize(0.5, 0.5),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.transform(self.images[index]), self.labels[index]


def main() -> None:
    torch.set_num_threads(1)
    raw = mnist5k()
    images, labels = raw.inputs["image"], raw.labels
    assert isinstance(images, torch.Tensor)
    examples = Examples({"image": images}, labels, torch.arange(len(labels)), Classes("digits", raw.classes))
    augment = [partial(crop, padding=2), partial(flip, probability=0.5)]
    whole = Batches({"a": examples}, batch_size=BATCH, seed=0, augment=augment)
    pixels, loader = Pixels(), DataLoader(PerImage(images, labels), BATCH, shuffle=True)
    ratios, rates = [], []
    for attempt in range(ROUNDS + 1):
        begun = time.perf_counter()
        steps = 10 * whole.steps_per_epoch
        for step in range(steps):
            pixels(whole(step)["a"].inputs["image"])
        ours = steps * BATCH / (time.perf_counter() - begun)
        begun = time.perf_counter()
        theirs = sum(len(batch) for batch, _ in loader) / (time.perf_counter() - begun)
        if attempt:  # the first round warms up
            ratios.append(ours / theirs)
            rates.append((ours, theirs))
    best = [statistics.median(each) for each in zip(*rates, strict=True)]
    print(
        f"crop + flip: whole batches / per-image PIL = {statistics.median(ratios):.0f} (from {min(ratios):.0f} to "
        f"{max(ratios):.0f}; promised 20), {best[0]:,.0f} and {best[1]:,.0f} images per second"
    )


if __name__ == "__main__":
    main()
