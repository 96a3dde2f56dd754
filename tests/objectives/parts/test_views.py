"""Weak and strong views."""

from dataclasses import replace

import pytest
import torch
from toys.contexts import adaptation_context, batch_of
from toys.tasks import random_images

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.task import AudioSpec, Batch, TabularSpec, TextSpec
from xlearn.data.unlabeled import UNLABELED
from xlearn.objectives.parts import weak_strong as views
from xlearn.objectives.self_training.fixmatch import FixMatch
from xlearn.objectives.self_training.mean_teacher import MeanTeacher
from xlearn.runtime.errors import Problem


def of(inputs, count=4, **values):
    space = random_images(3).space
    specs = {"tabular": TabularSpec(tuple("abcde"), "toy"), "text": TextSpec(9, 50, "toy"), "audio": AudioSpec(3, 8000, "toy")}
    return Batch(inputs, torch.full((count,), -1), space, memo={"stale": 1}, specs=specs, **values)


def test_views_of_images_change_pixels_and_nothing_else():
    context, _ = adaptation_context()
    batch = batch_of(context)[UNLABELED]
    torch.manual_seed(0)
    weak, strong = views.weak(batch), views.strong(batch)
    for view in (weak, strong):
        assert view.inputs["image"].shape == batch.inputs["image"].shape
        assert not torch.equal(view.inputs["image"].float(), batch.inputs["image"].float())
        assert torch.equal(view.taught["position"], batch.taught["position"]) and view.memo == {}
    # A crop by one pixel keeps most of an image where it was, or moves it as a whole: the sum falls by a border at most.
    assert (weak.inputs["image"].float().mean() > strong.inputs["image"].mean()).item()


def test_views_follow_torchs_global_generator():
    context, _ = adaptation_context()
    batch = batch_of(context)[UNLABELED]
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(views.strong(batch).inputs["image"])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_strong_views_of_texts_hide_tokens_but_no_padding():
    mask = torch.arange(50) < torch.tensor([[50], [20], [50], [1]])
    values = torch.where(mask, 7, 0).int()
    batch = of({"text": Sequences(values, mask)})
    torch.manual_seed(0)
    weak, strong = views.weak(batch).inputs["text"], views.strong(batch).inputs["text"]
    assert torch.equal(weak.values, values)
    assert strong.values[~mask].eq(0).all() and set(strong.values[mask].tolist()) == {1, 7}
    assert 0.08 < (strong.values[mask] == 1).float().mean() < 0.32


def test_numbers_without_an_augmentation_are_dropped_out():
    columns = torch.ones(400, 5)
    columns[:, 0] = torch.nan
    vectors = Sequences(torch.ones(400, 3, 4), torch.ones(400, 3, dtype=torch.bool))
    batch = of({"tabular": columns, "text": vectors}, 400, encoded=frozenset({"text"}))
    torch.manual_seed(0)
    strong = views.strong(batch)
    for values in (strong.inputs["tabular"][:, 1:], strong.inputs["text"].values):
        assert set(values.unique().tolist()) == {0.0, 1.25}
        assert values.mean().item() == pytest.approx(1, abs=0.05)  # divided by 0.8, the mean stays
    assert strong.inputs["tabular"][:, 0].isnan().all()
    assert views.weak(batch).inputs["tabular"] is columns
    features = views.strong(of({}, features=torch.ones(400, 5))).features
    assert features is not None and set(features.unique().tolist()) == {0.0, 1.25}


@pytest.mark.parametrize("shape", [(4, 30, 3), (4, 30, 40), (4, 300)])
def test_views_of_sounds(shape):
    torch.manual_seed(0)
    mask = torch.arange(shape[1]) < torch.tensor([[shape[1]], [20], [25], [shape[1]]])
    values = torch.randn(shape) * (mask if len(shape) == 2 else mask[:, :, None])
    batch = of({"audio": Sequences(values, mask)})
    weak, strong = views.weak(batch).inputs["audio"], views.strong(batch).inputs["audio"]
    assert torch.equal(weak.mask, mask) and torch.equal(strong.mask, mask)
    assert not torch.equal(weak.values, values) and not torch.equal(strong.values, weak.values)
    assert strong.values[~mask].eq(0).all() and strong.values.isfinite().all()


def test_what_a_frozen_encoder_made_of_sounds_is_no_sound():
    tokens = Sequences(torch.ones(4, 6, 8), torch.ones(4, 6, dtype=torch.bool))
    torch.manual_seed(0)
    batch = of({"audio": tokens, "image": torch.ones(4, 8)}, encoded=frozenset({"audio", "image"}))
    assert torch.equal(views.weak(batch).inputs["audio"].values, tokens.values)
    for values in (views.strong(batch).inputs["audio"].values, views.strong(batch).inputs["image"]):
        assert set(values.unique().tolist()) == {0.0, 1.25}


def test_texts_lose_tokens_to_the_unknown_one_of_their_own_tokeniser():
    mask = torch.ones(4, 50, dtype=torch.bool)
    batch = replace(
        of({"text": Sequences(torch.full((4, 50), 7).int(), mask)}), specs={"text": TextSpec(99, 50, "published", 80)}
    )
    torch.manual_seed(0)
    assert set(views.strong(batch).inputs["text"].values.unique().tolist()) == {7, 80}


@pytest.mark.parametrize("objective", [FixMatch, MeanTeacher])
def test_texts_without_an_unknown_token_are_refused(objective):
    context, net = adaptation_context()
    net.encoder["text"] = torch.nn.Identity()
    spec, texts = TextSpec(9, 5, "published", None), Ragged.of([torch.ones(5).int()] * 48)
    task = context.tasks[UNLABELED]
    task = replace(task, inputs={"text": spec}, train=replace(task.train, inputs={"text": texts}, specs={"text": spec}))
    with pytest.raises(Problem, match=r"no strong view of text can be made: nothing .* \(TextSpec\) can be hidden"):
        objective(replace(context, tasks={**context.tasks, UNLABELED: task}))
