"""Reconstruction of pieces, and masked autoencoding."""

import math
from dataclasses import replace
from functools import partial

import numpy
import pytest
import torch
from toys.contexts import batch_of
from toys.modalities import RELATED, blank, related_context, seen_by
from toys.phases import CPU, adam_update

from xlearn.data.batches import Batches
from xlearn.data.columns import Sequences
from xlearn.data.task import AudioSpec, TextSpec, VectorSpec
from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.denoising import Denoising
from xlearn.objectives.self_supervision.mae import Mae
from xlearn.phases.fit import fit
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate

ALL = sorted(RELATED)


@pytest.mark.parametrize(
    ("share", "hidden"), [(0.5, [0, 0, 1, 2, 2, 2]), (0.75, [0, 0, 1, 2, 3, 4]), (0.01, [0, 0, 1, 1, 1, 1])]
)
def test_at_least_one_piece_is_hidden_and_one_is_left(share, hidden):
    context, net = related_context("tabular", tabular=replace(RELATED["tabular"], columns=tuple("abcde")))
    values = torch.where(torch.arange(5) < torch.arange(6)[:, None], 1.0, torch.nan)  # of the i-th example i are there
    batch = replace(batch_of(context, 6)[UNLABELED], inputs={"tabular": values})
    net.features = lambda batch: batch.inputs["tabular"].isnan().sum(1, keepdim=True).float().expand(-1, net.width)
    objective = Mae(context, share=share)
    objective(net, {UNLABELED: batch})
    missing = objective.monitor.last[UNLABELED][:, 0].long()
    assert (missing - torch.arange(5, -1, -1)).tolist() == hidden


@pytest.mark.parametrize("name", ["text", "audio", "tabular"])
def test_the_encoder_never_sees_what_it_is_asked_for(name):
    context, net = related_context(name)
    objective = Mae(context, frames=2)
    batch = batch_of(context)[UNLABELED]
    torch.manual_seed(1)
    seen, _ = seen_by(net, objective, {UNLABELED: batch})
    cut, left = objective.pieces.cut(batch)[name], objective.pieces.cut(seen)[name]
    hidden = left.content.ne(cut.content) if name == "text" else left.content.ne(cut.content).any(2) | (left.there != cut.there)
    assert hidden.any() and (hidden.sum(1) < cut.there.sum(1)).all()
    # Other content in the hidden places, the same draw: what is seen is the same.
    given = batch.inputs[name]
    values = given.values if isinstance(given, Sequences) else given
    other = hidden.repeat_interleave(2, 1)[:, : values.shape[1], None] if name == "audio" else hidden
    changed = torch.where(other, values.new_tensor(9), values)
    inputs = {name: Sequences(changed, given.mask) if isinstance(given, Sequences) else changed}
    torch.manual_seed(1)
    again, _ = seen_by(net, objective, {UNLABELED: replace(batch, inputs=inputs)})
    one, two = (objective.pieces.cut(each)[name] for each in (seen, again))
    assert not torch.equal(changed, values) and torch.equal(one.content, two.content) and torch.equal(one.known, two.known)


@pytest.mark.parametrize("name", ["image", "audio", "tabular"])
def test_of_a_decoder_that_says_nothing_the_loss_is_the_mean_square_of_hidden_pieces(name):
    context, net = related_context(name)
    objective = blank(Mae(context, patch=2, frames=2))
    batch = batch_of(context)[UNLABELED]
    seen, losses = seen_by(net, objective, {UNLABELED: batch})
    given, left = batch.inputs[name], seen.inputs[name]
    squares = []
    for row in range(len(batch)):
        if name == "tabular":
            hidden = left[row].isnan()
            squares += given[row][hidden].square().tolist()
        elif name == "audio":
            length = int(given.mask[row].sum())
            for first in range(0, length, 2):
                piece = given.values[row, first : min(first + 2, length)]
                if not torch.equal(piece, left.values[row, first : min(first + 2, length)]):
                    squares.append(numpy.square(piece.numpy()).mean())
        else:
            for top, side in [(top, side) for top in range(0, 6, 2) for side in range(0, 6, 2)]:
                piece = given[row, :, top : top + 2, side : side + 2]
                if not torch.equal(piece, left[row, :, top : top + 2, side : side + 2]):
                    squares.append(numpy.square(piece.numpy() / 127.5 - 1).mean())
    assert len(squares) > 16 and losses[f"mae_{UNLABELED}"].item() == pytest.approx(numpy.mean(squares), rel=1e-4)


def test_of_a_decoder_that_says_nothing_every_token_is_as_likely():
    context, net = related_context("text")
    assert blank(Mae(context))(net, batch_of(context))[f"mae_{UNLABELED}"].item() == pytest.approx(math.log(30), rel=1e-5)


def test_of_a_text_so_many_tokens_are_decoded():
    context, net = related_context("text")
    objective = Mae(context, share=0.9, tokens=2)
    decoded = []
    objective.pieces.decoder["text"].register_forward_hook(lambda _module, given, made: decoded.append((given[1], made.shape)))
    batch = batch_of(context)[UNLABELED]
    objective(net, {UNLABELED: batch})
    [(rows, shape)] = decoded
    lengths = batch.inputs["text"].mask.sum(1)
    assert torch.bincount(rows, minlength=16).tolist() == (lengths - 1).clamp_max(2).tolist() and shape[1] == 30


def test_the_decoder_reads_features_whatever_their_scale():
    context, _ = related_context("image")
    decoder = Mae(context).pieces.decoder["image"]
    features, rows, places = torch.randn(16, 8), torch.arange(16), torch.arange(16) % 9
    one, two = decoder(features, rows, places), decoder(features * 50 + 7, rows, places)
    assert torch.allclose(one, two, atol=1e-3) and one.std(0).min() > 1e-3


def test_several_threads_compute_the_same_bits():
    context, _ = related_context("image")
    decoder = Mae(context).pieces.decoder["image"]
    features = torch.randn(64, 8, requires_grad=True)
    rows, places = (torch.ones(64, 9) > 0).nonzero(as_tuple=True)
    found = set()
    torch.set_num_threads(2)
    try:
        for _ in range(20):
            gradients = torch.autograd.grad(decoder(features, rows, places).square().sum(), [features, decoder.place])
            found.add(b"".join(each.numpy().tobytes() for each in gradients))
    finally:
        torch.set_num_threads(1)
    assert len(found) == 1


@pytest.mark.parametrize("name", ALL)
def test_encoders_of_every_modality_learn(name):
    context, net = related_context(name)
    objective = Mae(context, frames=2, width=32)
    optimizer = torch.optim.Adam([*net.encoder.parameters(), *objective.parameters()], lr=0.02)
    losses = []
    for _ in range(30):
        [loss] = objective(net, batch_of(context, 16)).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in [*net.encoder.parameters(), *objective.parameters()])
    assert numpy.mean(losses[-5:]) < 0.8 * numpy.mean(losses[:3])


def test_several_modalities_have_a_loss_each_and_what_an_example_lacks_does_not_count():
    there = torch.arange(40) % 3 != 0
    context, net = related_context("image", "tabular", present={"tabular": there})
    objective = Mae(context)
    batch = batch_of(context)[UNLABELED]
    torch.manual_seed(3)
    one = objective(net, {UNLABELED: batch})
    assert one.keys() == {f"mae_{UNLABELED}_image", f"mae_{UNLABELED}_tabular"}
    values = torch.where(there[:16, None], batch.inputs["tabular"], 1e3)
    torch.manual_seed(3)
    two = objective(net, {UNLABELED: replace(batch, inputs={**batch.inputs, "tabular": values})})
    assert all(torch.equal(one[name], two[name]) for name in one)
    none = replace(batch, present={"tabular": torch.zeros(16, dtype=torch.bool)}, memo={})
    assert objective(net, {UNLABELED: none})[f"mae_{UNLABELED}_tabular"].item() == 0


def test_roles_have_a_loss_each_whichever_are_there():
    context, net = related_context("tabular")
    batch = batch_of(context)[UNLABELED]
    both = Mae(context)(net, {"digits": replace(batch, task="digits"), UNLABELED: batch})
    assert both.keys() == {"mae_digits", f"mae_{UNLABELED}"} and all(each.requires_grad for each in both.values())


@pytest.mark.parametrize("make", [Mae, Denoising])
def test_what_others_made_of_the_batch_before_is_not_taken_over(make):
    context, net = related_context("image")
    objective, batch = make(context), batch_of(context)[UNLABELED]
    losses = []
    for before in (False, True):
        if before:
            net.features(batch)  # kept in the batch's memo
        torch.manual_seed(4)
        losses.append([each.item() for each in objective(net, {UNLABELED: batch}).values()])
    assert losses[0] == losses[1] and not torch.equal(net.features(batch), objective.monitor.last[UNLABELED])


def test_the_monitor_tells_of_what_heads_would_read():
    context, net = related_context("image")
    objective = Mae(context)
    assert objective.log() == {}
    objective(net, batch_of(context))
    assert objective.log()["embedding"][UNLABELED]["width"] == net.width


def test_an_interrupted_phase_goes_on_bit_identically():
    weights = []
    for broken in (False, True):
        context, net = related_context("image", "text")
        rates = {name: Rate() for name, _ in net.named_parameters() if not name.startswith("head.")}
        batches = Batches({UNLABELED: context.tasks[UNLABELED].train}, batch_size=8, seed=1)
        run = partial(fit, batches=batches, steps=6, seed=2, machine=CPU)
        objective = Mae(context, width=8)
        for record in run(net, [adam_update([objective], rates)]):
            if broken and record.step == 3:
                state = record.state()
                break
        if broken:
            context, net = related_context("image", "text")
            objective = Mae(context, width=8)
            for _ in run(net, [adam_update([objective], rates)], state=state):
                pass
        weights.append({**net.state_dict(), **objective.state_dict()})
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        (["image"], {"share": 0.0}, "share=0.0: give a share between 0 and 1"),
        (["image"], {"share": 1.0}, "share=1.0: give a share between 0 and 1"),
        (["image"], {"patch": 7}, "patch=7 does not fit 6 x 7 images. Give 1 to 6"),
        (["image"], {"patch": 0}, "patch=0: give 1 or more"),
        (["audio"], {"frames": 0}, "frames=0: give 1 or more"),
        (["image"], {"width": -1}, "width=-1: give 1 or more"),
        (["text"], {"tokens": 0}, "tokens=0: give 1 or more"),
    ],
)
def test_values_out_of_range_are_refused(names, options, told):
    context, _ = related_context(*names)
    with pytest.raises(Problem, match=told):
        Mae(context, **options)


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        ({"text": TextSpec(30, 12, "other", unknown=None)}, "no unknown token. Choose another encoder/text, e.g. lstm"),
        ({"audio": AudioSpec(0, 8000, "waves")}, "reads waves. Choose encoder/audio=audio_cnn"),
        ({"image": VectorSpec(5, "some network")}, "only precomputed features. Choose an encoder that reads the image itself"),
    ],
)
def test_inputs_that_cannot_be_hidden_or_told_are_refused(specs, told):
    context, _ = related_context(*specs, **specs)
    with pytest.raises(Problem, match=told):
        Mae(context)


def test_what_a_frozen_encoder_made_is_refused():
    context, net = related_context("image")
    batch = replace(batch_of(context)[UNLABELED], encoded=frozenset({"image"}))
    with pytest.raises(Problem, match="Choose an encoder that reads the image itself"):
        Mae(context)(net, {UNLABELED: batch})
