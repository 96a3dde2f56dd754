"""What a prediction costs: parameters that it reads and operations, against counts by hand."""

import pytest
import torch
from toys.modalities import ENCODERS
from toys.sharings import first_batches, joined

from xlearn.measuring.cost import cost, together
from xlearn.sharing.together import alone


def test_dense_layers_by_hand():
    network, tasks = joined("all", "mlp")
    # 64 -> 8 -> 6 -> 3; a multiplication and an addition are two operations, biases and ReLU are not counted.
    found = cost(network, tasks["target"])
    assert found == {"parameters": 65 * 8 + 9 * 6 + 7 * 3, "flops": 2 * (64 * 8 + 8 * 6 + 6 * 3)}


def test_convolutions_by_hand():
    network, tasks = joined("all", "cnn")
    flops = 2 * (9 * 1 * 4 * 64 + 9 * 4 * 6 * 16 + 6 * 16 * 8 + 8 * 3)
    assert cost(network, tasks["target"]) == {"parameters": 40 + 222 + 97 * 8 + 27, "flops": flops}


def test_recurrent_layers_are_counted():
    network, tasks = joined("all", "lstm")
    lengths = tasks["target"].train.take(torch.arange(12)).inputs["text"].mask.sum()
    per_token = 2 * 2 * 4 * 4 * ((6 + 4) + (8 + 4))  # two layers of two directions with four gates
    assert cost(network, tasks["target"])["flops"] == pytest.approx((per_token * int(lengths)) / 12 + 2 * 8 * 3)


@pytest.mark.parametrize("sharing", ["lora", "adapter", "soft", "hard"])
def test_what_merges_costs_what_a_single_task_does(sharing):
    network, tasks = joined(sharing)
    plain, _ = joined("all")
    for task in tasks.values():
        assert cost(network, task) == cost(plain, task)


def test_tasks_together_need_what_any_of_them_reads():
    single, tasks = joined("none")
    plain, _ = joined("all")
    each = cost(plain, tasks["target"])["parameters"]
    assert together(single, tasks) == 3 * each
    assert together(plain, tasks) == each
    head = sum(parameter.numel() for parameter in plain.head.parameters())
    assert together(joined("hard")[0], tasks) == each + 2 * head


def test_counting_leaves_the_network_as_it_was():
    network, tasks = joined("mmoe")
    network.train()
    network.encoder.requires_grad_(False)
    before = {name: (each.requires_grad, each.clone()) for name, each in network.named_parameters()}
    cost(network, tasks["one"])
    alone(network, "one", tasks["one"].labels.key)
    assert network.training
    for name, each in network.named_parameters():
        assert each.requires_grad == before[name][0] and torch.equal(each, before[name][1]) and each.grad is None


def test_encoders_of_all_kinds_have_a_cost():
    for name in ENCODERS:
        network, tasks = joined("hard", name)
        found = cost(network, tasks["target"])
        assert found["parameters"] > 0 and found["flops"] > 0
        assert network(first_batches(tasks)["one"]).shape == (6, 3)
