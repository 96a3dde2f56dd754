"""The autoencoder of the input with noise: which noise, on what, and what is refused."""

from dataclasses import replace

import pytest
import torch
from toys.contexts import batch_of
from toys.modalities import blank, related_context, seen_by

from xlearn.data.columns import Sequences
from xlearn.data.task import TextSpec
from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.self_supervision.autoencoder import Autoencoder
from xlearn.objectives.self_supervision.denoising import Denoising
from xlearn.runtime.errors import Problem


def noisy(name, *, count=40, **options):
    """(a batch, the same with noise)."""
    context, net = related_context(name, count=count)
    batch = batch_of(context, count)[UNLABELED]
    seen, _ = seen_by(net, Denoising(context, **options), {UNLABELED: batch})
    return batch.inputs[name], seen.inputs[name]


@pytest.mark.parametrize("kind", ["masking", "gaussian"])
@pytest.mark.parametrize("name", ["audio", "image", "tabular"])
def test_the_clean_input_is_reconstructed_from_one_with_noise(name, kind):
    context, net = related_context(name)
    batch = batch_of(context)[UNLABELED]
    # Decoders that say nothing are as far from the clean input, whatever the noise.
    seen, found = seen_by(net, blank(Denoising(context, noise=kind)), {UNLABELED: batch})
    [clean] = blank(Autoencoder(context))(net, {UNLABELED: batch}).values()
    assert found[f"denoising_{UNLABELED}"].item() == pytest.approx(clean.item(), rel=1e-6)
    one, two = batch.inputs[name], seen.inputs[name]
    assert not torch.equal(*((one.values, two.values) if isinstance(one, Sequences) else (one, two)))


def test_masking_blackens_so_many_numbers_of_every_image():
    given, seen = noisy("image", share=0.25)
    changed = seen != given
    assert changed.flatten(1).sum(1).eq(21).all()  # a quarter of 2 x 6 x 7, none of which was black
    assert seen[changed].eq(0).all() and seen.dtype == torch.uint8


def test_masking_leaves_padding_and_missing_values():
    given, seen = noisy("audio", share=0.4)
    changed = seen.values != given.values
    assert changed.flatten(1).sum(1).tolist() == [round(0.4 * 5 * int(n)) for n in given.mask.sum(1)]
    assert not changed[~given.mask].any() and seen.values[changed].eq(0).all()
    context, _ = related_context("tabular")
    batch = batch_of(context)[UNLABELED]
    batch.inputs["tabular"][:, 0] = torch.nan
    for kind in ("masking", "gaussian"):
        objective = Denoising(context, noise=kind, share=0.34)
        seen = objective.noisy(batch, objective.pieces.cut(batch)).inputs["tabular"]
        assert seen[:, 0].isnan().all() and not seen[:, 1:].isnan().any()
        if kind == "masking":
            assert (seen == 0).sum(1).eq(1).all()


@pytest.mark.parametrize("kind", ["masking", "gaussian"])
def test_tokens_become_unknown_and_padding_never(kind):
    given, seen = noisy("text", noise=kind, share=0.5)
    changed = seen.values != given.values
    assert changed.sum(1).tolist() == [round(0.5 * int(n)) for n in given.mask.sum(1)]
    assert seen.values[changed].eq(1).all() and torch.equal(seen.mask, given.mask)


def test_gaussian_noise_is_as_wide_as_told():
    given, seen = noisy("tabular", count=2000, noise="gaussian", deviation=0.4)
    assert (seen - given).std().item() == pytest.approx(0.4, rel=0.05)
    given, seen = noisy("image", count=200, noise="gaussian", deviation=0.05)
    added = (seen - given)[(given > 64) & (given < 191)]  # where 5 deviations stay in the scale
    assert added.std().item() == pytest.approx(0.05 * 255, rel=0.05)
    given, seen = noisy("image", noise="gaussian", deviation=5.0)
    assert seen.min() == 0 and seen.max() == 255


def test_sounds_get_noise_of_the_decibels_told_and_their_padding_none():
    given, quiet = noisy("audio", noise="gaussian", low=60.0, high=60.0)
    _, loud = noisy("audio", noise="gaussian", low=0.0, high=0.0)
    away = [(each.values - given.values).abs().mean().item() for each in (quiet, loud)]
    assert away[0] < 0.01 < away[1] and loud.values[~given.mask].eq(0).all()


def test_the_monitor_tells_of_what_heads_would_read():
    context, net = related_context("image")
    objective = Denoising(context)
    objective(net, batch_of(context))
    assert objective.log()["embedding"][UNLABELED]["width"] == net.width and Denoising.needs.batch == 2


def test_noise_follows_torchs_global_generator():
    for kind in ("masking", "gaussian"):
        context, net = related_context("audio", "image", "tabular", "text")
        objective, losses = Denoising(context, noise=kind), []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            losses.append([each.item() for each in objective(net, batch_of(context)).values()])
        assert losses[0] == losses[1] != losses[2] and len(losses[0]) == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"share": 1.0}, "share=1.0: give a share between 0 and 1"),
        ({"deviation": 0.0}, "deviation=0.0: give more than 0"),
        ({"low": 5.0, "high": 1.0}, "low=5.0 is above high=1.0"),
        ({"patch": 9}, "patch=9 does not fit 6 x 7 images"),
    ],
)
def test_noise_out_of_range_is_refused(options, told):
    context, _ = related_context("image")
    with pytest.raises(Problem, match=told):
        Denoising(context, **options)


def test_without_an_unknown_token_nothing_is_hidden_but_all_can_be_told():
    context, net = related_context("text", text=TextSpec(30, 12, "other", unknown=None))
    with pytest.raises(Problem, match="pretrain=autoencoder"):
        Denoising(context)
    batch = batch_of(context)[UNLABELED]
    batch = replace(batch, inputs={"text": Sequences(batch.inputs["text"].values.clamp_max(1), batch.inputs["text"].mask)})
    assert Autoencoder(context)(net, {UNLABELED: batch})[f"autoencoder_{UNLABELED}"].item() > 1  # token 1 is one like others
