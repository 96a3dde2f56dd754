"""Any text encoder of Hugging Face, by its name on the hub or from a folder."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xlearn.data.columns import Ragged, Sequences
from xlearn.data.modalities import Pool
from xlearn.data.modalities.text import TextSpec, encode_once
from xlearn.data.tasks.hub import ask_hub, reason
from xlearn.encoders.unpadded import Reading, by_length, tried, vectors
from xlearn.encoders.vector import pooled
from xlearn.networks.network import Tokens
from xlearn.runtime.errors import Problem
from xlearn.runtime.hashing import digest

# The tokens of a short text of the trial, and how many the shortest text may need.
SHORT, LEAST = 7, (1, 2, 4, 8, 16)
# BigBird's sparse attention draws from numpy's state, and is exact after the first short text. Decoders cache earlier tokens.
EXACT = {"attention_type": {"block_sparse": "original_full"}, "use_cache": False}


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
    largest number of tokens of a text, including special ones. `pool`: `mean` over the tokens, `cls` (the first), `none` (the
    sequence). Decoder and pooler are left out. Needs the extra `hf`. The model's own code is never run.

    The output for a text does not depend on the rest of its batch: a model that padding would change (FNet, ConvBERT, ...)
    reads texts of one length at a time, unpadded, in training too (`by_length`, found by a trial when it is built). Raises
    `Problem` for a model that gives no vector per token, that draws random numbers in evaluation (Reformer), or that needs
    other inputs than tokens.
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
        self.rate, self.pool = rate, pool
        self.model = model(name, "text", weights == "published", **EXACT)
        config: Any = text_config(self.model.config)
        known = getattr(config, "vocab_size", None)
        if known is not None and spec.vocabulary > known:
            raise Problem(
                f"encoder.text.name={name}: it knows {known} tokens, the texts have {spec.vocabulary}. "
                "Save its own tokeniser in its folder (tokenizer.save_pretrained)."
            )
        self.least = 1  # tokens of the shortest text that it can read; padding follows a shorter one
        self.width, self.by_length = self._tried(name, length, spec.vocabulary)

    def _tried(self, name: str, length: int, vocabulary: int) -> Reading:
        """Read texts of the full length and of few tokens, so that what cannot be read raises before training."""
        config: Any = text_config(self.model.config)
        special = {value for key, value in vars(config).items() if key.endswith("_token_id") and isinstance(value, int)}
        # Some models count positions by tokens that are not padding.
        usual = torch.tensor([number for number in range(vocabulary) if number not in special] or [0])
        long, other = (usual[(torch.arange(length) * step + 1) % len(usual)][None] for step in (1, 7))
        error: Exception | None = None
        for self.least in (each for each in LEAST if each == 1 or each < length):
            shorts = [other[:, :count] for count in {self.least, min(max(SHORT, self.least), max(length - 1, 1))}]
            try:
                return tried(self, self._padded, self._unpadded, long, shorts)
            except Exception as raised:  # the models raise many kinds
                error = raised
        assert error is not None
        most = getattr(config, "max_position_embeddings", None)
        fits = not isinstance(most, int) or length <= most
        fix = "Choose another text encoder." if fits else f"It has {most} positions: set encoder.text.length lower."
        raise Problem(
            f"encoder.text.length={length}: {name} ({type(self.model).__name__}) cannot read texts of up to so many tokens "
            f"({reason(error)}). {fix}"
        ) from error

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
        if (missing := self.least - numbers.shape[1]) > 0:
            numbers, mask = functional.pad(numbers, (0, missing)), functional.pad(mask, (0, missing))
        if self.by_length:
            lengths = torch.where(mask.any(1), mask.sum(1).clamp_min(self.least), 0)
            values, mask = by_length(self, self._unpadded, numbers, lengths, self.width)
        else:
            values, mask = self._padded(Sequences(numbers, mask))
        return pooled(values, mask, self.pool)

    def _padded(self, texts: Sequences) -> Sequences:
        numbers, mask = texts
        # An example without a token attends to its padding, because attention over nothing is NaN.
        seen = mask | ~mask.any(1, keepdim=True)
        return Sequences(self._read(numbers, seen), mask)

    def _unpadded(self, numbers: Tensor) -> Tensor:
        return self._read(numbers, torch.ones_like(numbers))

    def _read(self, numbers: Tensor, seen: Tensor) -> Tensor:
        values = vectors(self.model(input_ids=numbers.long(), attention_mask=seen.long()), numbers)
        if values.shape[1] != numbers.shape[1]:
            raise ValueError(f"it gives {values.shape[1]} vectors for {numbers.shape[1]} tokens")
        return values


def text_config(config: Any) -> Any:
    """The part of a configuration that is for texts, of a model of several modalities; otherwise all of it."""
    try:
        return config.get_text_config()
    except ValueError:  # several parts read texts
        return config


def model(name: str, modality: str, weights: bool, **settings: Any) -> nn.Module:
    """The network `name` without its pooler, with its blocks in a list named `layers`. `settings` replace those of its
    configuration.

    Raises `Problem` if it is not available, or if some of its parameters are missing in the published file.
    """
    config = pretrained("AutoConfig", name, modality)
    for part in {id(each): each for each in (config, text_config(config))}.values():
        for key, value in settings.items():
            if hasattr(part, key):  # a mapping replaces some values only
                old = getattr(part, key)
                setattr(part, key, value.get(old, old) if isinstance(value, dict) else value)
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
        made.pooler = nn.Identity()  # it has no effect on tokens, but some models call it
    own = set(made.state_dict())
    if missing := sorted(own & {key.removeprefix("encoder.") if config.is_encoder_decoder else key
                                for key in report.get("missing_keys", ())}):  # fmt: skip
        raise Problem(
            f"encoder.{modality}.name={name}: its file of weights lacks {len(missing)} parameters of its network, such as "
            f"{missing[0]}. Choose a completely saved model, or weights=null."
        )
    vars(made).setdefault("config", config)  # encoders of an older kind have none
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
