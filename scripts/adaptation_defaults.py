"""Rates and weights of the adaptation methods, compared on the validation split of a pair that is in no table.

    PYTHONPATH=scripts python scripts/adaptation_defaults.py FOLDER [METHOD ...]

The pair: Japanese Vowels (nine speakers as classes), half of the utterances as they are, the other half as if recorded over
another channel: a constant added to the cepstra of every frame, and noise. Neither half is in a table of docs/results.md. The
score is the accuracy of the last weights on the validation labels of the target; no test split is compared. The network has
no batch normalisation. Prints a table: per method and setting the mean over three seeds, and each seed.
Decision 21 has what followed from it.
"""

import sys
from pathlib import Path

import torch

from xlearn.api import run
from xlearn.data.columns import Ragged
from xlearn.data.tasks import Raw
from xlearn.data.tasks._japanese_vowels import japanese_vowels

# By method the default weight of its penalty, if it has one.
WEIGHTS = {
    "coral": 1.0, "mmd": 1.0, "jan": 1.0, "deepjdot": 0.3, "dann": 1.0, "cdan": 1.0, "mcd": 1.0, "mdd": 1.0, "mcc": 1.0,
    "entropy_min": 0.1, "adda": None,
}  # fmt: skip
RATES = {"adda": (0.01, 0.03, 0.1)}
SEEDS = (0, 1, 2)


def vowels(*, half: int, channel: float = 0.0) -> Raw:
    """Every second utterance, from `half` (0 or 1) on; `channel`: the standard deviation of the added constant."""
    raw = japanese_vowels()
    frames, rows = raw.inputs["audio"], torch.arange(len(raw.labels))[half::2]
    assert isinstance(frames, Ragged)
    half_of_them = frames.subset(rows)
    values, generator = half_of_them.values, torch.Generator().manual_seed(1)
    if channel:
        constant = channel * torch.randn(values.shape[1], generator=generator)
        values = values + constant + 0.3 * channel * torch.randn(values.shape, generator=generator)
    origin = {"audio": (f"japanese_vowels half {half}", torch.arange(len(rows)))}
    return Raw({"audio": Ragged(values, half_of_them.offsets)}, raw.labels[rows], raw.classes, raw.space, origin=origin)


def settings(method: str) -> dict[str, list[str]]:
    """The compared settings by name: rates of the backbone with the default weight, weights with the default rate."""
    rates = RATES.get(method, (0.1, 0.3, 1.0))
    parts = ("backbone",) if method == "adda" else ("backbone", "head")
    found = {f"rate {rate:g}": [f"transfer.phases.adapt.trainable.{part}={rate}" for part in parts] for rate in rates}
    if (weight := WEIGHTS[method]) is not None:
        for factor in (0.3, 3.0):
            given = weight * factor
            found[f"weight {given:g}"] = [f"transfer.phases.adapt.penalties.{method}.weight={given:g}"]
    return found


def main(folder: Path, methods: list[str]) -> None:
    (folder / "task").mkdir(parents=True, exist_ok=True)
    for name, given in (("near", "half: 0"), ("far", "half: 1\nchannel: 0.15")):
        (folder / "task" / f"{name}.yaml").write_text(f"# Vowels\n_target_: adaptation_defaults.vowels\n{given}\n")
    common = [
        "source=near", "target=far", "target.shots=0", "target.val=0.4", "evaluations=1", "batch_size=32", "threads=1",
        "budget.pretrain.epochs=20", "budget.transfer.steps=150", "experiment=adaptation_defaults",
    ]  # fmt: skip
    for method in methods or WEIGHTS:
        for name, words in settings(method).items():
            scores = []
            for seed in SEEDS:
                result = run(*common, f"transfer={method}", f"seed={seed}", *words, config_dirs=str(folder))
                scores.append(result.content["selections"]["oracle"]["score"])
            listed = " ".join(f"{each:.3f}" for each in scores)
            print(f"| {method} | {name} | {sum(scores) / len(scores):.3f} | {listed} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
