"""A network is encoders, a fusion, a trunk and heads. Parameter names say to which part a parameter belongs.

`encoder.<modality>.*` belongs to a modality, `head.<label space>.*` to a label space. `fusion.*` and `trunk.*` belong to
neither: they transfer between tasks and between modalities. Two networks share exactly the parameters with the same names.
Where one network learns several tasks, `sharing.*` holds parameters that only some of them have (see `xlearn.sharing`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xlearn.data.columns import Sequences
from xlearn.data.task import Batch
from xlearn.networks import present
from xlearn.networks.unshared import Through, Unshared
from xlearn.runtime.errors import Problem, nearest


class Tokens(NamedTuple):
    """An encoder's output: `values float [batch, length, width]` and `mask bool [batch, length]` (None: all valid).

    A vector is a single token. An example with an all-False mask lacks the modality.
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
        self.trunk: Any = Through(fusion.width) if trunk is None else trunk
        self.head = nn.ModuleDict(dict(heads))
        # The configuration of its parts, without weights: part of the cache key of everything trained with it.
        self.document: dict[str, Any] = {}
        self.encoder_rates: dict[str, float] = {}  # multipliers of the learning rate of pretrained encoders
        # Called as `sharing.overrides(network, batch)`: a task's replacements of the network's modules.
        self.sharing: Any = Unshared()
        # With `keeps_features`: by task, the features that its head read last.
        self.keeps_features = False
        self.seen: dict[str, Tensor] = {}
        self.listening: list[str] = []  # the paths of the modules with recorded outputs
        self._serving: str | None = None

    @property
    def width(self) -> int:
        """The size of the features that heads read."""
        return int(self.trunk.width)

    @contextmanager
    def serving(self, batch: Batch, overrides: Mapping[nn.Module, Callable[..., Any]] | None = None) -> Iterator[None]:
        """Within, the network is that of the batch's task, whose private modules replace the shared ones: by `overrides`, or
        (None) by those of the sharing.
        """
        if self._serving == batch.task or not self.sharing.parts:
            yield
            return
        found = self.sharing.overrides(self, batch) if overrides is None else overrides
        self._serving, before = batch.task, self._serving
        try:
            with instead(found):
                yield
        finally:
            self._serving = before

    def moving(self, trained: Iterable[str]) -> set[str]:
        """The modalities whose encoders change if these parameters are trained, or differ between tasks."""
        own = {name.split(".")[1] for name in trained if name.startswith("encoder.")}
        return own | self.sharing.modalities

    def tokens(self, batch: Batch) -> dict[str, Tokens]:
        """The encoders' outputs for the batch, by modality. A modality without an encoder is not read."""
        found = {}
        for name in sorted(batch.inputs):
            if name not in self.encoder:
                continue
            found[name] = Tokens(*present.masked(*self.encoded(batch, name), batch.present.get(name)))
        return found

    def encoded(self, batch: Batch, name: str) -> Tokens:
        """The tokens of one modality, precomputed where there are; zeros for examples without it, which no encoder reads."""
        if name not in batch.encoded:
            return Tokens(*present.encoded(self, batch, name))
        given = batch.inputs[name]
        return Tokens(given.values, given.mask) if isinstance(given, Sequences) else Tokens(given.unsqueeze(1))

    def features(self, batch: Batch) -> Tensor:
        """The features that every head reads, `float [batch, width]`."""
        return batch.features if batch.features is not None else self._computed(batch)[0]

    def listen(self, path: str) -> nn.Module:
        """From now on `outputs` records the output of the module at `path`. Raises `Problem` for an unknown path."""
        found = dict(self.named_modules())
        if not path or path not in found:
            raise Problem(f"the network has no module {path!r}. {nearest(path, [name for name in found if name])}")
        self.listening = [*dict.fromkeys([*self.listening, path])]
        self.keep_outputs()
        return found[path]

    def keep_outputs(self) -> None:
        """Switch in-place operations off, so that no module overwrites an output that is recorded."""
        for module in self.modules():
            if getattr(module, "inplace", False):
                vars(module)["inplace"] = False

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """The outputs of the recorded modules that are called, by path; of an encoder's for the examples with its modality."""
        return self._computed(batch)[1]

    def _computed(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        """Features and recorded outputs, computed once per batch. Tasks with common examples and parameters share them."""
        memo: dict[Any, Any] = {} if batch.memo is None else batch.memo.setdefault(id(self), {})
        below, modalities = self.sharing.below, self.sharing.modalities
        # A tuple, because a task may be called `tokens` or `heard`.
        key = ("features", batch.task if below else None)
        if key not in memo:
            heard = dict(memo.get("heard", {}))
            with self.serving(batch), _heard({path: self.get_submodule(path) for path in self.listening}, heard):
                tokens = self.tokens(batch) if modalities or "tokens" not in memo else memo["tokens"]
                features = self.joined(tokens)
            memo |= {"tokens": tokens, "heard": heard, key: (features, heard)}
        return memo[key]

    def joined(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """The features of examples that have only these modalities, `float [batch, width]`."""
        return self.trunk(self.fusion(tokens))

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[batch, classes]` by the head of the batch's label space, for the examples that the task has a label for."""
        with self.serving(batch):
            features = self.features(batch)
            if self.keeps_features:
                self.seen[batch.task] = features
            return batch.space.outputs(self.head[batch.space.key], features if batch.rows is None else features[batch.rows])


@contextmanager
def _heard(modules: Mapping[str, nn.Module], heard: dict[str, Any]) -> Iterator[None]:
    """Within, the last output of each of these modules is recorded in `heard`."""
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
    """Within, these modules compute the given functions. Their parameters and names are unchanged."""
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
    """Children in order. Stacks are opened, as are children that hold a stack under its usual name."""
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
    """The encoder's blocks from input to output, each a list of prefixes of parameter names.

    A block starts at a module that has a weight of two or more dimensions. Normalisation and the like belong to the block
    before; parameters outside of such modules (class tokens, position embeddings) belong to the first block. `resnet18` has 9
    blocks (stem and 8 residual blocks), `cnn` has 4, `vit_b_32` has 13.
    """
    inner = _trained(encoder)
    while len(inner) == 1 and not _is_stack(inner[0][1]) and _trained(inner[0][1]):
        # A wrapper around a single network is not a block.
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
    """Parameters and buffers by name, contiguous and on the CPU, for hashing, saving and transfer."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in network.state_dict().items()}


@torch.no_grad()
def load(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy `values` into the parameters and buffers of the same names. Names and shapes must exist."""
    own = network.state_dict()
    for name, value in values.items():
        own[name].copy_(value)
