"""Any torchvision classifier without its last layer, with or without pretrained weights."""

from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn

from xlearn.encoders.pixels import Pixels
from xlearn.errors import Problem, nearest
from xlearn.network import Tokens
from xlearn.storage import downloads, read_tensors
from xlearn.task import ImageSpec

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class TorchvisionClassifier(nn.Module):
    """The body of `torchvision.models.<name>`; its last linear layer is removed, its input gives `width`.

    `weights`: null (random), a name (`DEFAULT`, `IMAGENET1K_V1`, fetched on first use), or a file of a state
    dictionary. `stem`: `imagenet` as published; `small` sets the stride of the first convolution to 1 and drops the
    max-pooling after it, so that 28 x 28 images are not reduced to a point. `size` resizes images first.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        name: str,
        weights: str | None = None,
        stem: Literal["imagenet", "small"] = "imagenet",
        size: int | None = None,
    ) -> None:
        super().__init__()
        from torchvision import models

        names = models.list_models(module=models)
        if name not in names:
            raise Problem(f"encoder.image.name: torchvision has no classifier {name!r}. {nearest(name, names)}")
        self.pixels = Pixels(IMAGENET_MEAN, IMAGENET_STD, channels=3, size=size)
        extra = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
        self.body = models.get_model(name, weights=None, **extra)
        if weights is not None:
            _load(self.body, name, weights)
        if stem == "small":
            _small_stem(self.body, name)
        self.width = _remove_classifier(self.body)

    def forward(self, images: Tensor) -> Tokens:
        return Tokens(self.body(self.pixels(images)).flatten(1).unsqueeze(1))


def _load(body: nn.Module, name: str, weights: str) -> None:
    if Path(weights).suffix in (".pt", ".pth", ".safetensors"):
        state = read_tensors(Path(weights))
    else:
        state = _published(name, weights)
    own = body.state_dict()
    # googlenet and inception carry auxiliary heads that we build without.
    state = {key: value for key, value in state.items() if not key.startswith(("aux", "AuxLogits"))}
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    last = _last_linear(body)
    shapes = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape and not key.startswith(last)]
    missing = [key for key in missing if not key.startswith(last)]
    if missing or extra or shapes:
        listed = "; ".join(
            f"{what}: {', '.join(keys[:5])}{' ...' if len(keys) > 5 else ''}"
            for what, keys in (("missing", missing), ("too much", extra), ("other shape", sorted(shapes)))
            if keys
        )
        raise Problem(f"encoder.image.weights={weights} does not fit {name}: {listed}")
    body.load_state_dict({key: value for key, value in state.items() if own[key].shape == value.shape}, strict=False)


def _published(name: str, weights: str) -> dict[str, Tensor]:
    from torchvision import models

    known = models.get_model_weights(name)
    if weights not in known.__members__:
        raise Problem(
            f"encoder.image.weights={weights}: {name} has no such weights. {nearest(weights, known.__members__)} "
            "Or give a .pth or .safetensors file, or null."
        )
    url, folder = known[weights].url, downloads() / "torchvision"
    file = folder / url.rsplit("/", 1)[-1]
    if not file.exists():
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
    first = next((module for module in body.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        raise Problem(f"encoder.image.stem=small: {name} does not begin with a convolution. Use stem=imagenet.")
    first.stride = (1, 1)
    if hasattr(body, "maxpool"):
        body.maxpool = nn.Identity()


def _last_linear(body: nn.Module) -> str:
    """The name of the layer that gives the 1,000 ImageNet classes."""
    layers = [name for name, module in body.named_modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else "classifier.1"  # squeezenet classifies by a convolution


def _remove_classifier(body: nn.Module) -> int:
    name = _last_linear(body)
    layer = body.get_submodule(name)
    parent, _, leaf = name.rpartition(".")
    if isinstance(layer, nn.Linear):
        setattr(body.get_submodule(parent), leaf, nn.Identity())
        return layer.in_features
    assert isinstance(layer, nn.Conv2d)
    body.classifier = nn.AdaptiveAvgPool2d(1)
    return layer.in_channels
