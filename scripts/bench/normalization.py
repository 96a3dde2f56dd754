"""The cost of exact statistics of batch normalisation: seconds at the end of a phase / seconds of its 100 steps of 64 images.

One thread; 5,000 random images of 28 x 28 (EfficientNet-Lite0: of 48 x 48). Prints the examples that the statistics are of,
and the ratio; also of 2,048 examples, the most, to 400 steps.
"""

import argparse
import time
from functools import partial

CASES = {"conv4": 28, "resnet18": 28, "efficientnet_lite0": 48}


def build(name: str, examples):
    import torch
    from torch import nn

    from xlearn.data.task import ImageSpec
    from xlearn.encoders.conv4 import Conv4
    from xlearn.encoders.efficientnet_lite0 import EfficientNetLite0
    from xlearn.encoders.torchvision_classifier import TorchvisionClassifier
    from xlearn.fusion.concat import Concat
    from xlearn.networks.network import Network

    torch.manual_seed(0)
    spec = ImageSpec(3, CASES[name], CASES[name])
    encoder = {
        "conv4": partial(Conv4, widths=[32, 32, 32, 32]),
        "resnet18": partial(TorchvisionClassifier, name="resnet18", stem="small"),
        "efficientnet_lite0": partial(EfficientNetLite0, weights=None),
    }[name](spec)
    return Network({"image": encoder}, Concat({"image": encoder.width}), {examples.space.key: nn.Linear(encoder.width, 10)})


def measured(name: str, steps: int) -> tuple[dict, float, float]:
    """(the part of the phase's report, seconds of the steps, seconds of the statistics)."""
    import torch
    from torch.nn import functional

    from xlearn.balance._equal import equal
    from xlearn.data.batches import Batches
    from xlearn.data.task import Examples
    from xlearn.label_spaces.classes import Classes
    from xlearn.networks.network import tensors
    from xlearn.phases.fit import fit
    from xlearn.phases.normalization import NormalizationStatistics
    from xlearn.phases.update import Update
    from xlearn.runtime.machine import machine
    from xlearn.trainable import Rate

    space = Classes("bench", tuple("0123456789"))
    images = torch.randint(0, 256, (5000, 3, CASES[name], CASES[name]), dtype=torch.uint8)
    examples = Examples({"image": images}, torch.arange(5000) % 10, torch.arange(5000), space)
    network, machine = build(name, examples), machine("cpu", "fp32", 1, multirun=False)
    found = NormalizationStatistics("exact", network, {"target": examples}, False, tensors(network), 64, 0, machine)
    rates = {each: Rate() for each, _ in network.named_parameters()}

    def cross_entropy(network, given):
        return {"target": functional.cross_entropy(network(given["target"]), given["target"].labels)}

    update = Update([cross_entropy], rates, partial(torch.optim.Adam, lr=1e-3, fused=True), lambda *_: 1.0, equal)
    batches = Batches({"target": examples}, batch_size=64, seed=0)
    began = time.perf_counter()
    for _ in fit(network, [update], batches, steps=steps, seed=0, machine=machine):
        pass
    trained = time.perf_counter()
    report = found.finish(steps)
    return report["normalization_statistics"]["examples"], trained - began, time.perf_counter() - trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*", default=[*CASES])
    parser.add_argument("--steps", type=int, nargs="*", default=[100])
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    for name in chosen.names:
        for steps in chosen.steps:
            examples, training, statistics = measured(name, steps)
            times = f"{statistics:.2f} s / {training:.1f} s of {steps} steps"
            print(f"{name}: {examples['target']} examples, {times} = {statistics / training:.3f}")


if __name__ == "__main__":
    main()
