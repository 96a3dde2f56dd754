"""What a look is judged by: which examples, and what becomes of them where two of the target are mixed."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from toys.networks import image_network
from toys.phases import CPU, adapting, phase, solve
from toys.tasks import blobs, prepared, shifted_tasks

from xlearn.data.columns import Ragged
from xlearn.data.task import Examples
from xlearn.data.unlabeled import HIDDEN, UNLABELED
from xlearn.fusion.concat import Concat
from xlearn.label_spaces.classes import Classes
from xlearn.networks.evaluate import features, logits
from xlearn.networks.network import Network, Tokens
from xlearn.phases import checkpoints_by_rule
from xlearn.phases.checkpoints_by_rule import Candidates, splits
from xlearn.phases.phase import reading
from xlearn.selection.mixval import LAMBDA


class Words(nn.Module):
    """The mean of what words stand for."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 8)
        self.width = 8

    def forward(self, texts):
        mask = texts.mask.unsqueeze(2).float()
        return Tokens(((self.table(texts.values.long()) * mask).sum(1) / mask.sum(1))[:, None])


def texts(words=None):
    """Texts of these words, or of 1 to 6 random ones; without labels."""
    generator = torch.Generator().manual_seed(4)
    words = words or [torch.randint(9, (1 + row % 6,), generator=generator).tolist() for row in range(30)]
    space, count = Classes("toy", ("a", "b", "c")), len(words)
    column = Ragged.of([torch.tensor(each, dtype=torch.int32) for each in words])
    return Examples({"text": column}, torch.full((count,), HIDDEN), torch.arange(count), space)


def reader(examples):
    torch.manual_seed(3)
    return Network({"text": Words()}, Concat({"text": 8}), {examples.space.key: nn.Linear(8, 3)})


@torch.no_grad()
def various(network, examples):
    """Let the network predict every class of some examples."""
    [head] = network.head.values()
    nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))
    head.bias.copy_(-head.weight @ features(network, examples, CPU).mean(0))
    return network


def inputs_of(module, look):
    """What the module is given during a look, and the scores of the look."""
    given = []
    hook = module.register_forward_pre_hook(lambda _module, arguments: given.append(arguments[0]))
    scores = look.look(1)["scores"]
    hook.remove()
    return given, scores


def mixtures(probes, originals, within):
    """How many probes are mixtures of two different originals."""
    mixed = LAMBDA * originals[:, None] + (1 - LAMBDA) * originals
    apart = ~torch.eye(len(originals), dtype=torch.bool)
    return sum(bool(((mixed - probe).abs().amax(2) < within)[apart].any()) for probe in probes)


def judged(examples, network, folder):
    return Candidates(network, {UNLABELED: examples}, "accuracy", 0, CPU)


@pytest.fixture
def unlabelled():
    return reading(adapting(), shifted_tasks())[UNLABELED].train


def test_images_are_mixed_as_images(unlabelled, tmp_path):
    network = various(image_network(unlabelled), unlabelled)
    given, scores = inputs_of(network.encoder["image"], judged(unlabelled, network, tmp_path))
    pixels = unlabelled.inputs["image"].flatten(1)
    plain, *probes = given
    assert torch.equal(plain.flatten(1), pixels)
    assert all(each.dtype == torch.uint8 for each in probes) and 0 <= scores["mixval"] <= 1
    probes = torch.cat(probes).flatten(1).float()
    # Each example is the larger part of one with another pseudo-label, and of one with the same.
    assert len(probes) == 2 * len(pixels) == mixtures(probes, pixels.float(), 0.51)


@pytest.mark.parametrize("kind", ["texts", "some lack the modality"])
def test_what_has_no_sum_is_mixed_as_features(unlabelled, kind, tmp_path):
    lacking = replace(unlabelled, present={"image": torch.arange(len(unlabelled)) % 4 > 0})
    examples = texts() if kind == "texts" else lacking
    network = various(reader(examples) if kind == "texts" else image_network(examples), examples)
    [encoder], [head] = network.encoder.values(), network.head.values()
    examined = judged(examples, network, tmp_path)
    given, scores = inputs_of(head, examined)
    found = features(network, examples, CPU)
    probes = torch.cat(given)[len(examples) :]
    assert "mixval" in scores and len(examples) < len(probes) <= 2 * len(examples)
    assert len(probes) == mixtures(probes, found, 1e-5)
    # The encoder has only seen the examples themselves, those that have the modality.
    seen, _ = inputs_of(encoder, examined)
    count = len(examples) if kind == "texts" else int(lacking.present["image"].sum())
    assert sum(len(each.values) if kind == "texts" else len(each) for each in seen) == count


def test_the_score_is_the_share_that_keeps_its_pseudo_label(tmp_path):
    """Words are 1 or -1, and the first class is what is above 0: 0.55 of one and 0.45 of its opposite stay on its side."""
    examples = texts([[row % 2] for row in range(10)])
    network = reader(examples)
    [head], table = network.head.values(), network.encoder["text"].table.weight
    with torch.no_grad():
        head.weight.zero_()
        head.weight[0, 0], head.weight[1, 0] = 1.0, -1.0
        head.bias.copy_(torch.tensor([0.0, 0.0, -100.0]))
        table[:, 0] = torch.tensor([1.0, -1.0] * 4 + [1.0])
        assert judged(examples, network, tmp_path).look(1)["scores"]["mixval"] == 1.0
        head.bias[0] = 1.0  # the first class now has all mixtures of opposites: half of them are mostly of the second
        assert judged(examples, network, tmp_path).look(1)["scores"]["mixval"] == (0.5 + 1.0) / 2
        table[:, 0] = 5.0  # all are predicted alike: there are no opposites to mix
        assert judged(examples, network, tmp_path).look(1)["scores"]["mixval"] == (0.0 + 1.0) / 2


def test_what_looks_are_judged_by_is_the_same_at_every_look(monkeypatch):
    roles = shifted_tasks()
    tasks = reading(adapting(), roles)
    held = roles["target"]["target"].val
    monkeypatch.setattr(checkpoints_by_rule, "SAMPLE", 20)
    one, again, other = (splits(tasks, held, seed) for seed in (0, 0, 1))
    assert one.keys() == {"training blobs", "val blobs", UNLABELED, "held"}
    for name in ("training blobs", UNLABELED):
        assert len(one[name]) == len(one[name].rows.unique()) == 20
        assert torch.equal(one[name].rows, again[name].rows) and not torch.equal(one[name].rows, other[name].rows)
    # Validation splits are whole, and the target's training examples have no labels here.
    assert torch.equal(one["val blobs"].rows, roles["source"]["blobs"].val.rows) and one["held"] is held
    assert (one[UNLABELED].labels == HIDDEN).all()
    assert set(one[UNLABELED].rows.tolist()) <= set(roles["target"]["target"].unlabeled.rows.tolist())


def test_labelled_examples_of_the_target_are_no_source():
    tasks = reading(adapting(), shifted_tasks(5))
    assert "target" in tasks
    assert splits(tasks, tasks["target"].val, 0).keys() == {"training blobs", "val blobs", UNLABELED, "held"}


def turned():
    """The source's images, each said to be of the next class."""
    data = blobs()
    return replace(data, labels=(data.labels + 1) % 3)


def test_all_sources_that_validate_judge_a_look(tmp_path):
    """Two that contradict each other, and a third that has nothing to validate on."""
    roles = shifted_tasks(source={"val": 0.2})
    roles["source"]["turned"] = prepared(turned, "turned", "source.turned", val=0.4)
    roles["source"]["bare"] = prepared(blobs, "bare", "source.bare", val=0.0)
    both = [roles["source"][name] for name in ("blobs", "turned")]
    found = splits(reading(adapting(), roles), roles["target"]["target"].val, 0)
    assert found.keys() == {"training blobs", "val blobs", "training turned", "val turned", UNLABELED, "held"}
    for task in both:
        assert torch.equal(found[f"training {task.name}"].rows, task.train.rows)
        assert torch.equal(found[f"val {task.name}"].rows, task.val.rows)
    network = solve(tmp_path, phase(), given=both[0])[0].eval()
    right = [int((logits(network, task.val, CPU).argmax(1) == task.val.labels).sum()) for task in both]
    scores = Candidates(network, found, "accuracy", 0, CPU).look(1)["scores"]
    assert scores["source_val"] == pytest.approx(sum(right) / sum(len(task.val) for task in both))
    assert right[0] > 0.9 * len(both[0].val) and right[1] < 0.1 * len(both[1].val)
