"""Any text encoder of Hugging Face, by its name on the hub or from a folder."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Pool
from xlearn.data.modalities.text import TextSpec, encode_once
from xlearn.data.tasks.hub import ask_hub, reason
from xlearn.encoders.vector import pooled
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest


@dataclass(frozen=True)
class Published:
    """Texts as the token numbers of the model's own tokeniser, including special tokens."""

    spec: TextSpec
    tokenizer: Any

    def __call__(self, pool: Pool) -> tuple[Ragged, dict[str, Any]]:
        return encode_once(pool, self.tokenizer, self.spec)


class HuggingFaceText(nn.Module):
    """The encoder that `transformers.AutoModel` builds from `name`, a name on the hub or a folder of `save_pretrained`.

    `weights`: `published`, or null for the same network with random weights; `rate` as in `xlearn.encoders`. `length`: the
    largest number of tokens of a text, including special ones. `pool`: `mean` over the tokens of the text, `cls` (the first
    token), `none` (the sequence). A decoder and a pooler are left out. Needs the extra `hf`. The model's own code is never run.
    """

    def __init__(
        self,
        spec: TextSpec,
        *,
        name: str,
        weights: Literal["published"] | None = "published",
        length: int = 256,
        pool: Literal["mean", "cls", "none"] = "mean",
        rate: float = 0.03,
    ) -> None:
        super().__init__()
        self.rate = rate
        self.pool = pool
        self.model = model(name, "text", weights == "published")
        config: Any = self.model.config
        self.width = int(config.hidden_size)
        if spec.vocabulary > config.vocab_size:
            raise Problem(
                f"encoder.text.name={name}: it knows {config.vocab_size} tokens, the texts have {spec.vocabulary}. "
                "Save its own tokeniser in its folder (tokenizer.save_pretrained)."
            )
        self._try(name, length)

    @torch.no_grad()
    def _try(self, name: str, length: int) -> None:
        """Encode one text of the full length, so that a length that is too large raises before anything is trained."""
        training = self.training
        config: Any = self.model.config
        # Some models count positions by tokens that are not padding.
        number = 0 if config.pad_token_id == 1 else 1
        try:
            self.eval()(Sequences(torch.full((1, length), number), torch.ones(1, length, dtype=torch.bool)))
        except Exception as error:  # the models raise many kinds
            most = getattr(config, "max_position_embeddings", None)
            fix = f"It has {most} positions: set encoder.text.length lower." if most else "Choose another text encoder."
            raise Problem(
                f"encoder.text.length={length}: {name} cannot read so many tokens ({reason(error)}). {fix}"
            ) from error
        self.train(training)

    @staticmethod
    def format(pools: Sequence[Pool], options: Mapping[str, Any], *, name: str, length: int = 256, **others: Any) -> Published:
        """The model's own tokeniser; the settings of the modality are not used."""
        if length < 3:
            raise Problem(f"encoder.text.length={length}: give 3 or more tokens, special ones among them.")
        found = pretrained("AutoTokenizer", name, "text")
        backend = getattr(found, "backend_tokenizer", None)
        if backend is None:
            raise Problem(
                f"encoder.text.name={name}: its tokeniser has no fast form (tokenizer.json). Save one with "
                "AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained('FOLDER'), and set name=FOLDER."
            )
        identity = digest(backend.to_str())
        return Published(TextSpec(len(found), length, f"hugging face {identity}", found.unk_token_id), backend)

    def forward(self, texts: Sequences) -> Tokens:
        numbers, mask = texts
        # An example without a token attends to its padding, because attention over nothing is NaN.
        seen = mask | ~mask.any(1, keepdim=True)
        values = self.model(input_ids=numbers.long(), attention_mask=seen.long()).last_hidden_state
        return pooled(values, mask, self.pool)


def model(name: str, modality: str, weights: bool, **settings: Any) -> nn.Module:
    """The network `name` without its pooler, with its blocks in a list named `layers`. `settings` replace those of its
    configuration.

    Raises `Problem` if it is not available, or if some of its parameters are missing in the published file.
    """
    config = pretrained("AutoConfig", name, modality)
    for key, value in settings.items():
        if hasattr(config, key):
            setattr(config, key, value)
    if weights:
        loading = {"config": config, "dtype": torch.float32, "weights_only": True, "output_loading_info": True}
        made, report = pretrained("AutoModel", name, modality, **loading)
    else:
        import transformers

        with _quiet(), _told(name, modality):
            made, report = transformers.AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False), {}
    if config.is_encoder_decoder:
        made = made.get_encoder()
    if getattr(made, "pooler", None) is not None:
        made.pooler = None  # it has no effect on tokens
    own = set(made.state_dict())
    if missing := sorted(own & {key.removeprefix("encoder.") if config.is_encoder_decoder else key
                                for key in report.get("missing_keys", ())}):  # fmt: skip
        raise Problem(
            f"encoder.{modality}.name={name}: its file of weights lacks {len(missing)} parameters of its network, such as "
            f"{missing[0]}. Choose a completely saved model, or weights=null."
        )
    _name_stack(made)
    return made.train()


def _name_stack(made: nn.Module) -> None:
    """Make the list of blocks available as `layers`, where callers look for it. The parameters keep their published names."""
    count = getattr(made.config, "num_hidden_layers", None)
    for parent in made.modules():
        for child in parent.children():
            if isinstance(child, nn.ModuleList) and len(child) == count and not hasattr(parent, "layers"):
                # Not by `setattr`, with which `nn.Module` would register its parameters a second time.
                vars(parent)["layers"] = child
                return


def pretrained(kind: str, name: str, modality: str, **arguments: Any) -> Any:
    """`transformers.<kind>.from_pretrained(name)`: from its folder or the cache, otherwise from the hub if that answers."""
    try:
        import transformers
    except ImportError as error:
        raise Problem(
            f"encoder.{modality}: Hugging Face models need transformers, which is not installed. Run "
            "`pip install 'xlearn[hf]'`."
        ) from error
    load: Callable[..., Any] = getattr(transformers, kind).from_pretrained
    folder = Path(name).expanduser()
    with _quiet():
        if folder.is_dir():
            with _told(name, modality):
                return load(str(folder), local_files_only=True, trust_remote_code=False, **arguments)
        try:
            return load(name, local_files_only=True, trust_remote_code=False, **arguments)
        except Exception:  # many kinds; all mean that it is missing or incomplete here
            with _told(name, modality):
                from huggingface_hub import hf_hub_url

                ask_hub(hf_hub_url(name, "config.json"))
                return load(name, trust_remote_code=False, **arguments)


@contextmanager
def _told(name: str, modality: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # transformers and the hub's client raise many kinds
        raise Problem(
            f"encoder.{modality}.name={name}: no such folder here, or an incomplete one, and not available from the hub "
            f"({reason(error)}). On a machine with access to it run save_pretrained('FOLDER') of its model and its tokeniser "
            "or feature extractor, copy FOLDER here, and set name=FOLDER."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and without the libraries' log of every attempt; their settings are restored afterwards."""
    from transformers.utils import logging as told

    hub = logging.getLogger("huggingface_hub")
    before, level, bars = told.get_verbosity(), hub.level, told.is_progress_bar_enabled()
    told.set_verbosity_error()
    told.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        told.set_verbosity(before)
        hub.setLevel(level)
        if bars:
            told.enable_progress_bar()
