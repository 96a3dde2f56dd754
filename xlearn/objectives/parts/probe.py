"""Outputs of a network's modules for two examples, for their shapes before training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from xlearn.data.task import Task
from xlearn.networks.network import Network
from xlearn.networks.outputs import channel_axis, first
from xlearn.networks.present import having
from xlearn.runtime.errors import Problem


@torch.no_grad()
def probe(network: Network, paths: Sequence[str], tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """The outputs of modules, channels first, for the two longest examples of the first task that calls each, in evaluation
    mode. Modules that are never called are left out. Raises `Problem` if the network cannot read the examples.
    """
    listening, modes = network.listening, [(module, module.training) for module in network.modules()]
    network.listening = [*paths]
    network.eval()
    device = next(network.parameters()).device
    found: dict[str, Tensor] = {}
    try:
        for task in tasks.values():
            if not len(task.train) or not task.inputs.keys() & network.encoder.keys():
                continue
            lengths = task.train.lengths()
            index = torch.arange(len(task.train)) if lengths is None else lengths.argsort(descending=True)
            for rows in having(task.train, index):
                for path, value in network.outputs(task.train.take(rows[:2]).to(device)).items():
                    found.setdefault(path, channels_first(network, path, value))
    except (IndexError, RuntimeError) as error:  # token numbers out of range, sizes that do not fit
        raise Problem(
            f"a network with encoders of {' and '.join(network.encoder)} cannot read the phase's examples ({error}). A teacher "
            "that reads another form than the student can only give logits or features: leave paths null, as in transfer=rkd."
        ) from error
    finally:
        network.listening = listening
        for module, training in modes:
            module.training = training
    return found


def described(shape: Sequence[int]) -> str:
    """The shape of one example in words: "a vector of 16", "a sequence of 16 channels", "maps of 16 channels"."""
    return ["a vector of {}", "a sequence of {} channels", "maps of {} channels"][len(shape) - 1].format(shape[0])


def channels_first(network: Network, path: str, given: Any) -> Tensor:
    """The first output tensor of the module at `path`, as `[batch, channels, *positions]`."""
    value = first(given)
    return value if value.ndim < 3 else value.movedim(channel_axis(network.get_submodule(path), value), 1)
