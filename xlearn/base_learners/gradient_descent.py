"""Gradient descent from the network's weights: the inner loop of MAML and its relatives."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from xlearn.base_learners import BaseLearner, embedded, rebuilt
from xlearn.base_learners.paths import Path
from xlearn.base_learners.statistics import Normalisation, Statistics
from xlearn.base_learners.tasks import chosen, count, over_tasks, stacked
from xlearn.data.task import Batch
from xlearn.networks.network import Network
from xlearn.objectives.meta.query_loss import task_losses
from xlearn.runtime.errors import Problem
from xlearn.runtime.needs import Needs

Weights = dict[str, Tensor]


class GradientDescent(BaseLearner):
    """`steps` times `w <- w - a grad L_support(w)`, from the network's weights, on all of the support (Finn et al., ICML 2017).

    - `rate`: a. With `learned_rates` every number has its own a, which begins at `rate` and is learned with the network
      (Meta-SGD, Li et al., 2017).
    - `trains`: `head` adapts the head only (ANIL, Raghu et al., ICLR 2020); `all` adapts every parameter, also those that the
      phase does not train.
    - `first_order`: the outer gradient treats the inner gradients as constants (FOMAML).
    - `test_steps`: the steps in an evaluation (null: as `steps`).
    - `statistics` of batch normalisation: see `xlearn.base_learners.statistics`.
    - `vectorised`: all tasks of a step at once (`always`), one after the other (`never`), or the way that is usually faster for
      this device, network and sizes (`auto`; see `Path`). Both give the same numbers up to rounding, except for dropout, which
      they draw in different orders.

    Raises `Problem` for a rate that is not above 0, and for steps below 0.
    """

    needs = Needs()  # it predicts with the network's head

    def __init__(
        self,
        *,
        rate: float,
        steps: int,
        test_steps: int | None = None,
        trains: Literal["all", "head"] = "all",
        first_order: bool = False,
        learned_rates: bool = False,
        statistics: Statistics = "batch",
        vectorised: Literal["auto", "always", "never"] = "auto",
    ) -> None:
        if not rate > 0:
            raise Problem(f"base_learner.rate={rate}: give more than 0, e.g. 0.1.")
        for name, value in (("steps", steps), ("test_steps", test_steps)):
            if value is not None and value < 0:
                raise Problem(f"base_learner.{name}={value}: give 0 or more, e.g. 5.")
        self.rate, self.steps, self.test_steps = rate, steps, steps if test_steps is None else test_steps
        self.head_only, self.first_order, self.learned_rates = trains == "head", first_order, learned_rates
        self.statistics: Statistics = statistics
        self.path = Path(vectorised)

    def trains(self, name: str) -> bool:
        return not name.startswith("rates.") and (name.startswith("head.") or not self.head_only)

    def parts(self, network: Network) -> nn.ParameterDict | None:
        """Learned step sizes of the adapted parameters, keyed by the parameters' names with colons for dots. None without
        `learned_rates`.
        """
        if not self.learned_rates:
            return None
        moved = {name: each for name, each in network.named_parameters() if self.trains(name)}
        return nn.ParameterDict({name.replace(".", ":"): torch.full_like(each, self.rate) for name, each in moved.items()})

    def log(self) -> dict[str, Any]:
        return {"inner_loop": "features once, then the head"} if self.head_only else self.path.log()

    def __call__(self, network: Network, support: Batch, query: Batch, tasks: int) -> Tensor:
        *_, last = self._descent(network, support, query, tasks, self.steps, training=True)
        return last[1]()

    def curve(self, network: Network, support: Batch, query: Batch, tasks: int, every: bool = True) -> Tensor:
        found = []
        with torch.enable_grad():
            moments = self._descent(network, support, query, tasks, self.test_steps, training=False)
            for step, (_, predict) in enumerate(moments):
                if every or step == self.test_steps:
                    with torch.no_grad():
                        found.append(predict())
        return torch.stack(found)

    def weights(self, network: Network, support: Batch, tasks: int, minibatch: int | None = None) -> Weights:
        """The adapted parameters of each task, `[tasks, ...]` each, detached. With `minibatch` every step reads that many
        random examples of each class.
        """
        with torch.enable_grad():
            *_, last = self._descent(network, support, support, tasks, self.steps, training=False, minibatch=minibatch)
        return {name: each.detach() for name, each in last[0].items()}

    def _descent(
        self,
        network: Network,
        support: Batch,
        query: Batch,
        tasks: int,
        steps: int,
        training: bool,
        minibatch: int | None = None,
    ) -> Iterator[tuple[Weights, Callable[[], Tensor]]]:
        """Yields, after 0, 1, ... steps, the weights of each task and a function that predicts the queries with them."""
        if self.head_only:
            if minibatch is not None:
                raise Problem("minibatch: base_learner.trains=head reads all examples in every step. Set minibatch to null.")
            yield from self._of_heads(network, support, query, tasks, steps, training)
            return
        whole = _Whole(network, support, query, tasks, self.statistics, minibatch)

        def descend(vectorised: bool) -> Iterator[tuple[Weights, Callable[[], Tensor]]]:
            begin = self._begin(network, tasks, training)
            if vectorised:  # grouped convolutions take a quarter longer with channels-last weights
                begin = {name: each.contiguous() for name, each in begin.items()}
            moments = self._moments(begin, whole.losses(vectorised), self._rates(network), steps, training)
            for weights in moments:
                yield weights, lambda weights=weights: whole.queries(weights, vectorised)

        def tried(vectorised: bool) -> None:
            *_, last = descend(vectorised)
            loss = task_losses(query.space, last[1](), query.labels).sum()
            if training:
                torch.autograd.grad(loss, [each for each in network.parameters() if each.requires_grad], allow_unused=True)

        settings = (minibatch, steps, training, self.first_order, self.learned_rates, self.statistics)
        yield from descend(self.path.choose(tried, network, tasks, settings, support, query))

    def _of_heads(
        self, network: Network, support: Batch, query: Batch, tasks: int, steps: int, training: bool
    ) -> Iterator[tuple[Weights, Callable[[], Tensor]]]:
        with torch.set_grad_enabled(training):
            first, second = embedded(network, support, query, tasks, self.statistics)
        place = f"head.{support.space.key}"

        def logits(weights: Weights, features: Tensor) -> Tensor:
            return torch.baddbmm(weights[f"{place}.bias"].unsqueeze(1), features, weights[f"{place}.weight"].mT)

        def losses(weights: Weights) -> Tensor:
            return task_losses(support.space, logits(weights, first), support.labels)

        begin = self._begin(network, tasks, training)
        for weights in self._moments(begin, losses, self._rates(network), steps, training):
            yield weights, lambda weights=weights: logits(weights, second)

    def _begin(self, network: Network, tasks: int, training: bool) -> Weights:
        """The adapted parameters before the first step, one copy for each task: `[tasks, ...]`."""
        found = {}
        for name, each in network.named_parameters():
            if self.trains(name):
                own = each if training and each.requires_grad else each.detach().requires_grad_()
                found[name] = own.unsqueeze(0).expand(tasks, *each.shape)
        return found

    def _rates(self, network: Network) -> Mapping[str, Tensor | float]:
        learned = getattr(network, "rates", None)
        if not self.learned_rates or learned is None:
            return {}
        return {name.replace(":", "."): each for name, each in learned.items()}

    def _moments(
        self,
        weights: Weights,
        losses: Callable[[Weights], Tensor],
        rates: Mapping[str, Tensor | float],
        steps: int,
        training: bool,
    ) -> Iterator[Weights]:
        """The weights before the first step, and after each. The tasks' losses are summed: each depends on its own task's
        weights only.
        """
        yield weights
        for _ in range(steps):
            total = losses(weights).sum()
            keeps = training and not self.first_order
            grads = torch.autograd.grad(total, [*weights.values()], create_graph=keeps, allow_unused=True)
            moved = {}
            for (name, each), grad in zip(weights.items(), grads, strict=True):
                # Parameters that the loss does not depend on are unchanged.
                moved[name] = each if grad is None else each - rates.get(name, self.rate) * grad
            weights = moved if training else {name: each.detach().requires_grad_() for name, each in moved.items()}
            yield weights


class _Whole:
    """The whole network as a function of the weights of each task."""

    def __init__(
        self, network: Network, support: Batch, query: Batch, tasks: int, statistics: Statistics, minibatch: int | None = None
    ) -> None:
        self.network, self.support, self.query, self.minibatch = network, support, query, minibatch
        self.given = {"support": stacked(support, tasks), "query": stacked(query, tasks)}
        self.normalisation = Normalisation(network, statistics)

    def losses(self, vectorised: bool) -> Callable[[Weights], Tensor]:
        def losses(weights: Weights) -> Tensor:
            logits, labels = self._outputs(weights, vectorised, "support", places := self._places()), self.support.labels
            if places is not None:
                labels = labels.unflatten(0, (len(logits), -1))[:, places].flatten(0, 1)
            return task_losses(self.support.space, logits, labels)

        return losses

    def queries(self, weights: Weights, vectorised: bool) -> Tensor:
        return self._outputs(weights, vectorised, "query")

    def _places(self) -> Tensor | None:
        """The positions of a random minibatch in a support, `minibatch` of each class; None for the whole support."""
        if self.minibatch is None:
            return None
        ways = max(1, len(self.support.space.classes))
        shots = count(self.given["support"], axis=1) // ways
        drawn = torch.stack([torch.randperm(shots)[: self.minibatch] + place * shots for place in range(ways)])
        return drawn.flatten().to(self.support.labels.device)

    def _outputs(self, weights: Weights, vectorised: bool, which: str, places: Tensor | None = None) -> Tensor:
        batch = self.support if which == "support" else self.query

        def outputs(given: dict[str, Any]) -> Tensor:
            def predict(name: str) -> Tensor:
                return functional_call(self.network, given["weights"], (rebuilt(batch, given[name]),))

            self.normalisation.noting = True
            if which == "query" and self.normalisation.passes_support:
                predict("support")
                self.normalisation.noting = False
            return predict(which)

        names = ["support", "query"] if which == "query" and self.normalisation.passes_support else [which]
        with self.normalisation.using():
            given = {name: self.given[name] if places is None else chosen(self.given[name], places) for name in names}
            return over_tasks(outputs, {"weights": weights, **given}, vectorised)
