"""A network is encoders, a fusion, a trunk and heads. Parameter names say who owns what:

`encoder.<modality>.*` belongs to the modality, `head.<label space>.*` to the label space, `fusion.*` and `trunk.*` to
nobody: they travel from task to task and from modality to modality.
Two networks share exactly the parameters that both name.
Where several tasks are learned in one network, `sharing.*` holds what only some of them have (see `xlearn.sharing`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.runtime.errors import Problem, nearest


class Tokens(NamedTuple):
    """What an encoder gives: `values float [batch, length, width]` and `mask bool [batch, length]` (None: all valid).

    A vector is a single token. An example whose mask is False everywhere lacks the modality.
    """

    values: Tensor
    mask: Tensor | None = None


class Network(nn.Module):
    """Encoders by modality, a fusion, a trunk, and one linear head per label space."""

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module,
        heads: Mapping[str, nn.Module],
        trunk: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({name: encoders[name] for name in sorted(encoders)})
        self.fusion = fusion
        self.trunk = nn.Identity() if trunk is None else trunk
        self.head = nn.ModuleDict(dict(heads))
        # What it was built from, without weights: part of the address of all that is learned with it.
        self.document: dict[str, Any] = {}
        # Called as `sharing.overrides(network, batch)`: what stands in for the network's modules while a task is served.
        self.sharing: Any = None
        # With `keeps_features`, what the heads of each task have read last.
        self.keeps_features = False
        self.seen: dict[str, Tensor] = {}
        # The paths of the modules whose outputs are asked for.
        self.listening: list[str] = []
        self._serving: str | None = None

    @property
    def width(self) -> int:
        """Of the features that heads read."""
        return int(getattr(self.trunk, "width", None) or getattr(self.fusion, "width", 0))

    @contextmanager
    def serving(self, batch: Batch) -> Iterator[None]:
        """Within, the network is that of the batch's task: what the task has for itself stands in for the network's own."""
        if self.sharing is None or self._serving == batch.task:
            yield
            return
        self._serving, before = batch.task, self._serving
        try:
            with instead(self.sharing.overrides(self, batch)):
                yield
        finally:
            self._serving = before

    def moving(self, trained: Iterable[str]) -> set[str]:
        """The modalities whose encoders move when the parameters of these names are trained, or differ between tasks."""
        own = {name.split(".")[1] for name in trained if name.startswith("encoder.")}
        return own | (set() if self.sharing is None else self.sharing.modalities)

    def tokens(self, batch: Batch) -> dict[str, Tokens]:
        """What the encoders make of the batch, by modality. A modality that the network has no encoder for is not read."""
        found = {}
        for name in sorted(batch.inputs):
            if name not in self.encoder:
                continue
            values, mask = self.encoded(batch, name)
            if (present := batch.present.get(name)) is not None:
                there = present[:, None].expand(-1, values.shape[1])
                mask = there if mask is None else mask & there
            found[name] = Tokens(values, mask)
        return found

    def encoded(self, batch: Batch, name: str) -> Tokens:
        """The tokens of one modality, whichever examples have it; taken over where they were computed before."""
        given = batch.inputs[name]
        if name not in batch.encoded:
            return self.encoder[name](given)
        return Tokens(given.values, given.mask) if isinstance(given, Sequences) else Tokens(given.unsqueeze(1))

    def features(self, batch: Batch) -> Tensor:
        """`float [batch, width]`, what every head reads."""
        return batch.features if batch.features is not None else self._computed(batch)[0]

    def listen(self, path: str) -> nn.Module:
        """From now on `outputs` gives what the module at the path gives. Raises `Problem` where there is none."""
        found = dict(self.named_modules())
        if not path or path not in found:
            raise Problem(f"the network has no module {path!r}. {nearest(path, [name for name in found if name])}")
        self.listening = [*dict.fromkeys([*self.listening, path])]
        self.keep_outputs()
        return found[path]

    def keep_outputs(self) -> None:
        """What a module gives stays as it is, for others may read it too: nothing works in place."""
        for module in self.modules():
            if getattr(module, "inplace", False):
                vars(module)["inplace"] = False

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """What the modules that are listened to make of the batch, by path; one that is not called is left out."""
        return self._computed(batch)[1]

    def _computed(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        """Features and outputs, once for a batch. Tasks of the same examples under common parameters have them in common."""
        memo: dict[Any, Any] = {} if batch.memo is None else batch.memo.setdefault(id(self), {})
        below, modalities = (False, set()) if self.sharing is None else (self.sharing.below, self.sharing.modalities)
        # Beside `tokens` and `heard`: a task may have such a name.
        key = ("features", batch.task if below else None)
        if key not in memo:
            heard = dict(memo.get("heard", {}))
            with self.serving(batch), _heard({path: self.get_submodule(path) for path in self.listening}, heard):
                tokens = self.tokens(batch) if modalities or "tokens" not in memo else memo["tokens"]
                features = self.joined(tokens)
            memo |= {"tokens": tokens, "heard": heard, key: (features, heard)}
        return memo[key]

    def joined(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """`float [batch, width]`, the features of examples of which only these modalities are known."""
        return self.trunk(self.fusion(tokens))

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[batch, classes]` by the head of the batch's label space, of the examples that the task has a label for."""
        with self.serving(batch):
            features = self.features(batch)
            if self.keeps_features:
                self.seen[batch.task] = features
            return self.head[batch.space.key](features if batch.rows is None else features[batch.rows])


@contextmanager
def _heard(modules: Mapping[str, nn.Module], heard: dict[str, Any]) -> Iterator[None]:
    """Within, what these modules give is noted in `heard`, the last of each."""
    hooks = [
        module.register_forward_hook(lambda _module, _given, made, path=path: heard.update({path: made}))
        for path, module in modules.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def instead(forwards: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Within, these modules compute something else: their parameters and names stay where they are."""
    before = {module: vars(module).get("forward") for module in forwards}
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module, forward in before.items():
            if forward is None:
                del vars(module)["forward"]
            else:
                module.forward = forward


def _is_stack(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList) and len(module) > 1


def _trained(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, child) for name, child in module.named_children() if next(child.parameters(), None) is not None]


def _stages(module: nn.Module, prefix: str, depth: int = 0) -> list[tuple[str, nn.Module]]:
    """Children in order; stacks, and children that hold a stack under its customary name, are opened."""
    stages: list[tuple[str, nn.Module]] = []
    for name, child in _trained(module):
        path = f"{prefix}{name}."
        holds_stack = any(_is_stack(getattr(child, inner, nn.Identity())) for inner in ("layers", "blocks", "features"))
        if depth < 2 and (_is_stack(child) or holds_stack):
            stages += _stages(child, path, depth + 1)
        else:
            stages.append((path, child))
    return stages


def blocks(encoder: nn.Module, prefix: str) -> list[list[str]]:
    """The encoder's blocks from input to output, each a list of beginnings of parameter names.

    A block starts at a module that has a weight of two or more dimensions; normalisation and the like belong to the
    block before it, and what no block has (class tokens, position embeddings) to the first. `resnet18` has 9 (stem and
    8 residual blocks), `cnn` has 4, `vit_b_32` has 13.
    """
    inner = _trained(encoder)
    while len(inner) == 1 and not _is_stack(inner[0][1]) and _trained(inner[0][1]):
        # A wrapper around a single network is no block of its own.
        name, encoder = inner[0]
        prefix, inner = f"{prefix}{name}.", _trained(encoder)
    found: list[list[str]] = []
    for path, module in _stages(encoder, prefix):
        if any(parameter.ndim > 1 for parameter in module.parameters()) or not found:
            found.append([path])
        else:
            found[-1].append(path)
    placed = tuple(path for block in found for path in block)
    loose = [name for name, _ in encoder.named_parameters(prefix.removesuffix(".")) if not name.startswith(placed)]
    if found and loose:
        found[0] += loose
    return found


def encoder_blocks(network: Network) -> dict[str, list[list[str]]]:
    """`blocks` of every encoder, by modality."""
    return {name: blocks(encoder, f"encoder.{name}.") for name, encoder in network.encoder.items()}


def owned(names: list[str], prefixes: list[str]) -> list[str]:
    """The names that begin with one of the prefixes."""
    starts = tuple(prefixes)
    return [name for name in names if name.startswith(starts)]


def tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, contiguous and on the CPU: what is hashed, saved and carried over."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in network.state_dict().items()}


@torch.no_grad()
def load(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy `values` into the parameters and buffers of the same names. Names and shapes must exist."""
    own = network.state_dict()
    for name, value in values.items():
        own[name].copy_(value)
