"""Any torchvision classifier without its last layer, with or without pretrained weights."""

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn

from xlearn.data.modalities.image import ImageSpec
from xlearn.encoders.pixels import Pixels
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem, nearest
from xlearn.runtime.storage import data_folders, read_tensors

# The published weights of DenseNet have names from before 2018, such as `denselayer1.norm.1.weight`.
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


class TorchvisionClassifier(nn.Module):
    """The body of `torchvision.models.<name>` without its last linear layer; `width` is the input size of that layer.

    `weights`: null (random), a name (`DEFAULT`, `IMAGENET1K_V1`, fetched on first use), or a file of a state dictionary;
    `rate` as in `xlearn.encoders`.
    `stem`: `imagenet` as published; `small` sets the stride of the first convolution to 1 and drops the max-pooling after it,
    so that 28 x 28 images are not reduced to a point. `size` resizes images first; some networks need a fixed size (224 for the
    vision transformers). Raises `Problem` for images that the network cannot read.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        name: str,
        weights: str | None = None,
        stem: Literal["imagenet", "small"] = "small",
        size: int | None = None,
        rate: float = 0.1,
    ) -> None:
        super().__init__()
        self.rate = rate
        from torchvision import models

        names = models.list_models(module=models)
        if name not in names:
            raise Problem(f"encoder.image.name: torchvision has no classifier {name!r}. {nearest(name, names)}")
        mean, std = _statistics(name, weights)
        self.pixels = Pixels(mean, std, channels=3, size=size)
        extra = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
        self.body = models.get_model(name, weights=None, **extra)
        if hasattr(self.body, "transform_input"):
            # googlenet and inception were trained with another normalisation, to which torchvision then converts the inputs;
            # also without weights, because the network may receive those of another later.
            setattr(self.body, "transform_input", True)  # noqa: B010  (a flag, where the type checker expects modules)
        if weights is not None:
            _load(self.body, name, weights)
        if stem == "small":
            _small_stem(self.body, name)
        self.width = _remove_classifier(self.body)
        self._try(name, stem, (size or spec.height, size or spec.width))

    @torch.no_grad()
    def _try(self, name: str, stem: str, side: tuple[int, int]) -> None:
        """Pass one black image through the body, so that unsuitable images raise before any data are read."""
        try:
            self.body.eval()(torch.zeros(1, 3, *side))
        except Exception as error:  # torch and torchvision raise many kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            fix = "Set encoder.image.size, e.g. to 224" + (", or stem=imagenet." if stem == "small" else ".")
            raise Problem(f"encoder.image.name={name} cannot read {side[0]} x {side[1]} images ({reason}). {fix}") from error
        self.body.train()

    @staticmethod
    def reads(*, size: int | None = None, **_: Any) -> dict[str, Any]:
        """Files of pictures are to be read in the network's size, if it has one."""
        return {} if size is None else {"size": size}

    def forward(self, images: Tensor) -> Tokens:
        return Tokens(self.body(self.pixels(images)).flatten(1).unsqueeze(1))


def _statistics(name: str, weights: str | None) -> tuple[list[float], list[float]]:
    """(mean, standard deviation) of the inputs that the network's default weights were trained with.

    They do not depend on the weights, because a network that is built without weights may receive those of another.
    """
    from torchvision import models

    def of(which: str) -> tuple[list[float], list[float]]:
        preset: Any = known[which].transforms()
        return list(preset.mean), list(preset.std)

    known = models.get_model_weights(name)
    if weights in known.__members__ and of(weights) != of("DEFAULT"):
        raise Problem(
            f"encoder.image.weights={weights}: these weights of {name} need another normalisation of the inputs than its "
            "others. Use encoder.image.weights=DEFAULT."
        )
    return of("DEFAULT")


def _load(body: nn.Module, name: str, weights: str) -> None:
    """Load all but the last layer, which is removed. Names and shapes must agree."""
    if (file := Path(weights).expanduser()).suffix in (".pt", ".pth", ".safetensors"):
        loaded = read_tensors(file)
    else:
        loaded = _published(name, weights)
    own, last = body.state_dict(), f"{_last_layer(body)}."
    # The auxiliary heads of googlenet and inception are not built.
    names = {key: OLD_DENSENET.sub(r"\1\2", key) for key in loaded if not key.startswith(("aux", "AuxLogits"))}
    state = OrderedDict((new, loaded[old]) for old, new in names.items() if not new.startswith(last))
    shapes = [key for key in state if key in own and own[key].shape != state[key].shape]
    # The versions of modules, from which torch recognises old names. safetensors have none and count as current.
    versions = getattr(loaded, "_metadata", getattr(own, "_metadata", None) if file.suffix == ".safetensors" else None)
    if versions is not None:
        state._metadata = versions  # pyrefly: ignore  (torch looks for it on the dictionary)
    missing, extra = [], []
    if not shapes:
        missing, extra = body.load_state_dict(state, strict=False)
        # Counters, which weights from before 2018 lack; nothing is computed from them.
        missing = [key for key in missing if not key.startswith(last) and not key.endswith("num_batches_tracked")]
    if missing or extra or shapes:
        listed = "; ".join(
            f"{what}: {', '.join(sorted(keys)[:5])}{' ...' if len(keys) > 5 else ''}"
            for what, keys in (("missing", missing), ("too much", extra), ("other shape", shapes))
            if keys
        )
        raise Problem(f"encoder.image.weights={weights} does not fit {name}: {listed}. Give weights of {name}, or null.")


def _published(name: str, weights: str) -> dict[str, Tensor]:
    from torchvision import models

    known = models.get_model_weights(name)
    if weights not in known.__members__:
        raise Problem(
            f"encoder.image.weights={weights}: {name} has no such weights. {nearest(weights, known.__members__)} "
            "Or give a .pth or .safetensors file, or null."
        )
    url = known[weights].url
    places = [folder / "torchvision" / url.rsplit("/", 1)[-1] for folder in data_folders()]
    file = next((place for place in places if place.is_file()), places[-1])
    if not file.is_file():
        try:
            torch.hub.download_url_to_file(url, str(_made(file)), hash_prefix=_hash_prefix(file.name), progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise Problem(
                f"The weights {weights} of {name} could not be downloaded ({error}). Fetch {file.name} from {url} on "
                f"another machine and put it at {file}, or set encoder.image.weights to a file you have."
            ) from error
    return read_tensors(file)


def _hash_prefix(file_name: str) -> str:
    return file_name.rsplit("-", 1)[-1].split(".")[0]


def _made(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _small_stem(body: nn.Module, name: str) -> None:
    stages = [(path, module) for path, module in body.named_modules() if isinstance(module, nn.Conv2d | nn.MaxPool2d)]
    if not stages or not isinstance(stages[0][1], nn.Conv2d):
        raise Problem(f"encoder.image.stem=small: {name} does not begin with a convolution. Use stem=imagenet.")
    stages[0][1].stride = (1, 1)
    if len(stages) > 1 and isinstance(stages[1][1], nn.MaxPool2d):
        body.set_submodule(stages[1][0], nn.Identity())


def _last_layer(body: nn.Module) -> str:
    """The name of the layer that gives the 1,000 ImageNet classes."""
    layers = [name for name, module in body.named_modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else "classifier.1"  # squeezenet classifies by a convolution


def _remove_classifier(body: nn.Module) -> int:
    name = _last_layer(body)
    layer = body.get_submodule(name)
    if isinstance(layer, nn.Linear):
        body.set_submodule(name, nn.Identity())
        return layer.in_features
    assert isinstance(layer, nn.Conv2d)
    body.classifier = nn.AdaptiveAvgPool2d(1)
    return layer.in_channels
