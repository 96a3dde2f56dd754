"""Batch normalisation of a network where most pictures are missing."""

from dataclasses import replace

import torch
from toys.phases import CPU

from xlearn.data.columns import Ragged
from xlearn.data.task import Examples, ImageSpec, TextSpec
from xlearn.encoders.conv4 import Conv4
from xlearn.encoders.text_cnn import TextCnn
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.networks.evaluate import logits
from xlearn.networks.network import Network
from xlearn.networks.statistics import estimated

IMAGE, TEXT = ImageSpec(1, 12, 12), TextSpec(30, 9, "toy")


def test_statistics_of_a_domain_are_those_of_the_pictures_that_there_are():
    """The fault: 80 % of the target's pictures are missing; `adabn` and `tent` normalised by placeholders."""
    generator = torch.Generator().manual_seed(0)
    count = 600
    labels = torch.arange(count) % 3
    images = 40 * torch.rand(count, 1, 12, 12, generator=generator)
    for label in range(3):
        images[labels == label, :, 4 * label : 4 * label + 4] += 60
    present = torch.rand(count, generator=generator) < 0.2
    texts = Ragged.of([torch.randint(1, 30, (5,), generator=generator, dtype=torch.int32) for _ in range(count)])
    whole = Examples({"image": images.byte(), "text": texts}, labels, torch.arange(count), Classes("toy", ("a", "b", "c")))
    torch.manual_seed(0)
    encoders = {"image": Conv4(IMAGE, widths=[8, 8]), "text": TextCnn(TEXT, embedding=6, filters=4, kernels=[1, 2])}
    fusion = Concat({name: each.width for name, each in encoders.items()})
    net = Network(encoders, fusion, {whole.space.key: torch.nn.Linear(fusion.width, 3)}).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(60):
        batch = whole.take(torch.randperm(400, generator=torch.Generator().manual_seed(step))[:64])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(batch), batch.labels).backward()
        optimizer.step()
    # The target's pictures have less contrast, and white ones stand for the missing. Encoding these gave .33 and .36.
    pale = (0.3 * images + 10).byte()
    placeholders = torch.where(present[:, None, None, None], pale, torch.full((), 255, dtype=torch.uint8))
    target = replace(whole, inputs={"image": placeholders, "text": texts}, present={"image": present})
    test = replace(whole, inputs={"image": pale, "text": texts}).subset(torch.arange(400, count))

    def accuracy() -> float:
        return float((logits(net, test, CPU).argmax(1) == test.labels).float().mean())

    estimated(net, {"target": target.subset(torch.arange(400))}, CPU)
    assert accuracy() > 0.95
    # As `tent` does, by the statistics of the batch: in training mode.
    net.train()
    with torch.no_grad():
        found = net(target.take(torch.arange(400))).argmax(1)
    assert float((found == labels[:400])[present[:400]].float().mean()) > 0.95
