"""Outputs of frozen pretrained encoders on a data set, computed once for all runs of a sweep."""

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from xlearn.data.columns import Column, Ragged, subset
from xlearn.data.task import Examples
from xlearn.networks.evaluate import tokens
from xlearn.networks.network import Network, tensors
from xlearn.runtime.cache import weights_digest
from xlearn.runtime.code import behind, code_digest
from xlearn.runtime.hashing import digest
from xlearn.runtime.machine import Machine
from xlearn.runtime.memory import Kept
from xlearn.runtime.storage import cache_root, kept_in

# Below this share of the data set, only the requested examples are encoded: 5 of 50,000 need no full pass.
SHARE = 0.1
# Number of encoded data sets that stay in memory for the next run of a sweep.
HELD = 16
_held: Kept[Column] = Kept(HELD)


def encode(network: Network, examples: Examples, modalities: Iterable[str], machine: Machine) -> Examples:
    """Replace the inputs of `modalities` by the outputs (tokens) of their encoders, which must not be trained.

    The whole data set is encoded, in batches that do not depend on the split. So the outputs are bit-identical whichever run
    computes them first.
    """
    for name in modalities:
        if name not in examples.inputs or name in examples.encoded or examples.features is not None:
            continue
        if examples.whole is None or name not in examples.whole.inputs or len(examples) < SHARE * len(examples.whole):
            column = tokens(network, examples, name, machine)
        else:
            column = subset(_whole(network, examples.whole, name, machine), examples.rows)
        examples = replace(examples, inputs={**examples.inputs, name: column}, encoded=examples.encoded | {name})
    return examples


def _whole(network: Network, whole: Examples, name: str, machine: Machine) -> Column:
    encoder = network.encoder[name]
    document = network.document.get("encoder", {}).get(name)  # the encoder's configuration without its weights
    key = digest(
        [
            whole.data,
            name,
            document,
            weights_digest(tensors(encoder)),
            machine.signature(),
            code_digest(tokens.__module__, *behind(document)),
        ],
        20,
    )
    return _held(key, lambda: _computed(network, whole.only(name), name, machine, key))


def _computed(network: Network, whole: Examples, name: str, machine: Machine, key: str) -> Column:
    def make() -> dict[str, Tensor]:
        column = tokens(network, whole, name, machine)
        return {"values": column} if isinstance(column, Tensor) else {"values": column.values, "offsets": column.offsets}

    found = kept_in(cache_root() / "tokens" / f"{key}.safetensors", make)
    return Ragged(found["values"], found["offsets"]) if "offsets" in found else found["values"]
