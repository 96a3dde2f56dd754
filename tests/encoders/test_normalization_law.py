"""For every option of `conf/encoder`: a phase ends with the statistics of its final weights over its own examples."""

import copy
from typing import Any

import pytest
import torch
from toys.runs import everything_words

import xlearn
from xlearn.config.folders import conf_folder, options
from xlearn.networks.evaluate import logits
from xlearn.networks.statistics import normalisations
from xlearn.phases.normalization import NormalizationStatistics

# Options whose weights are fetched from the package index or the hub, and those that name a model.
FETCHED = ("efficientnet_features", "speech_embedding", "minilm", "use_multilingual")
NAMED = ("hf", "hf_audio")
SMALL = {
    "efficientnet_lite0": ["encoder.image.weights=null", "encoder.image.size=32"],
    "digit_net": ["encoder.image.weights=null"],
    "conv4": ["encoder.image.widths=[8,8,8,8]"],
    "cnn": ["encoder.image.normalisation=batch"],
}


def every():
    for modality in ("image", "text", "audio", "tabular"):
        for name in sorted(options(f"encoder/{modality}", [conf_folder()])):
            if name not in NAMED:
                marks = [pytest.mark.slow] if name in FETCHED or name == "resnet18" else []
                yield pytest.param(modality, name, marks=marks)


@pytest.mark.parametrize(("modality", "name"), list(every()))
def test_evaluation_equals_that_with_statistics_by_hand(modality, name, tmp_path, monkeypatch):
    found: list[int] = []
    finish = NormalizationStatistics.finish

    def compared(self: NormalizationStatistics, steps: int) -> dict[str, Any]:
        moved, report = self._moved(), finish(self, steps)
        (examples,) = self.read.values()
        by_hand = copy.deepcopy(self.network).eval()
        for module, own in zip(normalisations(by_hand), normalisations(self.network), strict=True):
            if own in moved:
                module.momentum = 1.0
                module.train()
        with torch.no_grad():
            by_hand.features(examples.take(torch.arange(len(examples))))
        expected, given = (logits(network, examples, self.machine) for network in (by_hand, self.network))
        torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
        assert report == (
            {"normalization_statistics": {"kind": "exact", "examples": {examples.task: len(examples)}}} if moved else {}
        )
        found.append(len(moved))
        return report

    monkeypatch.setattr(NormalizationStatistics, "finish", compared)
    words = everything_words(tmp_path, [modality], [modality])
    folder, words = words[1], [word for word in words[2:] if not word.startswith("encoder/image")]
    words = [word for word in words if not word.startswith("encoder.image")]
    chosen = [f"encoder/{modality}={name}", *SMALL.get(name, []), "source=none", "pretrain=none", "transfer=scratch"]
    budget = ["target.shots=10", "budget.transfer.steps=3", "batch_size=8", "optimizer.lr=0.01"]
    xlearn.run(*[word for word in words if not word.startswith("source")], *chosen, *budget, config_dirs=folder)
    trains = name in ("efficientnet_lite0", "digit_net", "conv4", "cnn", "resnet18")
    assert found and (found[0] > 0) == trains
