"""How adversaries are tested: trained in the real loop, and compared with skada's."""

import io
import warnings

import pytest
import torch
import toys

from xlearn.data.batches import Batches
from xlearn.networks.network import tensors
from xlearn.phases.fit import fit
from xlearn.trainable import Rate


def train(context, network, objectives, extras=(), *, steps=3, state=None, stop=None):
    """Names of the parameters that moved, the losses of each step, and the state saved at `stop`."""
    rates = {name: Rate() for name, _ in network.named_parameters()}
    updates = [toys.update(objectives, rates)]
    updates += [toys.update([extra], {name: rate for name, rate in rates.items() if extra.moves(name)}) for extra in extras]
    batches = Batches({role: task.train for role, task in context.tasks.items()}, batch_size=16, seed=3)
    before, losses, saved = tensors(network), [], None
    for record in fit(network, updates, batches, steps=steps, seed=1, machine=toys.CPU, state=state):
        losses.append({name: float(loss) for name, loss in record.losses.items()})
        if record.step == stop:
            torch.save(record.state(), buffer := io.BytesIO())
            saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
            break
    return {name for name, value in tensors(network).items() if not torch.equal(before[name], value)}, losses, saved


def encoder_gradient(network, loss):
    names = [name for name, _ in network.named_parameters() if name.startswith("encoder.")]
    return torch.cat([each.flatten() for each in torch.autograd.grad(loss, [network.get_parameter(name) for name in names])])


def skada():
    """skada's adversarial methods, which need skorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("skorch")
        return pytest.importorskip("skada.deep._adversarial")


def set_progress(objective, step):
    objective.reversal.step.fill_(step)
