"""The autoencoder of the input as it is."""

import numpy
import pytest
import torch
from toys.contexts import batch_of
from toys.modalities import RELATED, blank, related_context, seen_by

from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.autoencoder import Autoencoder

ALL = sorted(RELATED)


@pytest.mark.parametrize("name", ALL)
def test_an_autoencoder_sees_its_input_as_it_is(name):
    context, net = related_context(name)
    batch = batch_of(context)[UNLABELED]
    seen, losses = seen_by(net, Autoencoder(context), {UNLABELED: batch})
    assert seen is batch and losses.keys() == {f"autoencoder_{UNLABELED}"}


def test_everything_that_is_there_is_reconstructed():
    context, net = related_context("audio", "image", "tabular")
    batch = batch_of(context)[UNLABELED]
    found = blank(Autoencoder(context, patch=1, frames=1))(net, {UNLABELED: batch})
    frames, mask = batch.inputs["audio"]
    expected = {
        "audio": numpy.square(frames[mask].numpy()).mean(),
        # The strip is as wide as a patch: all pixels count.
        "image": numpy.square(batch.inputs["image"].numpy() / 127.5 - 1).mean(),
        "tabular": numpy.square(batch.inputs["tabular"].numpy()).mean(),
    }
    assert {name: found[f"autoencoder_{UNLABELED}_{name}"].item() for name in expected} == pytest.approx(expected, rel=1e-4)


def test_two_factors_are_enough_for_four_columns_that_follow_from_them():
    context, net = related_context("tabular")
    objective = Autoencoder(context, width=32)
    optimizer = torch.optim.Adam([*net.encoder.parameters(), *objective.parameters()], lr=0.02)
    for _ in range(60):
        [loss] = objective(net, batch_of(context, 40)).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.15 * batch_of(context, 40)[UNLABELED].inputs["tabular"].square().mean().item()


def test_the_monitor_tells_of_what_heads_would_read():
    context, net = related_context("image")
    objective = Autoencoder(context)
    objective(net, batch_of(context))
    assert objective.log()["embedding"][UNLABELED]["width"] == net.width and Autoencoder.needs.batch == 2
