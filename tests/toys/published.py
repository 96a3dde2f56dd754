"""Small configurations of transformers' model types, made from the default ones, and inputs for them."""

import re
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

from xlearn.data.columns import Ragged
from xlearn.data.task import AudioSpec, TextSpec
from xlearn.encoders.hf import HuggingFaceText
from xlearn.encoders.hf_audio import HuggingFaceAudio
from xlearn.runtime.errors import Problem

# By a pattern in the name of a number: its small value.
SMALL = (
    (r"num_key_value_heads|kv_heads$|multi_query_group_num|num_attention_groups|heads?$|_heads_", 4),
    (r"layers$|^n_layer$|num_blocks|depth$", 2),
    (r"vocab_size", 99),
    (r"intermediate_size|ffn_dim|_ffn_size|d_ff|ff_dim|hidden_dim|n_inner|feedforward|d_inner|mlp_dim", 64),
    (r"head_dim|d_kv|head_size|qk_nope|v_head|qk_rope|attention_key_size", 8),
    (r"hidden_size|d_model|n_embd|^dim$|embed_dim|embedding_size|_dim$|width$|embedding_dim|encoder_hidden", 32),
    (r"max_position|n_positions|max_seq|seq_len|max_length|n_ctx", 128),
    (r"experts_per|top_?k", 2),
    (r"experts|n_group", 4),
)
TEXT = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
# Types whose numbers depend on each other.
GIVEN: dict[str, dict[str, Any]] = {
    "big_bird": {**TEXT, "block_size": 4, "num_random_blocks": 1, "max_position_embeddings": 128},
    "esm": {**TEXT, "vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32, "max_position_embeddings": 128},
    "funnel": {"block_sizes": [1, 1], "vocab_size": 99, "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64},
    "gpt_neo": {
        "vocab_size": 99, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 8,
        "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 128,
    },
    "longformer": {**TEXT, "attention_window": 8, "max_position_embeddings": 128},
    "mamba2": {
        "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_heads": 8, "head_dim": 8, "expand": 2,
        "state_size": 8, "n_groups": 2, "chunk_size": 8,
    },
    "reformer": {
        "vocab_size": 99, "hidden_size": 32, "num_attention_heads": 2, "feed_forward_size": 32, "attention_head_size": 16,
        "axial_pos_embds_dim": (8, 24), "axial_pos_shape": (8, 16), "max_position_embeddings": 128,
        "attn_layers": ["local", "lsh"], "lsh_attn_chunk_length": 8, "local_attn_chunk_length": 8,
    },
    "xlnet": {"vocab_size": 99, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
}  # fmt: skip
WAVES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": (8, 8, 8),
    "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 2), "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
    "output_hidden_size": 16, "squeeze_factor": 2, "encoder_attention_heads": 2,
}  # fmt: skip
# A network above so many parameters is not made.
LARGEST = 30_000_000
TYPES = sorted(MODEL_MAPPING_NAMES)
LENGTH = 40
TEXT_LENGTHS, WAVE_LENGTHS = (LENGTH, 7, 4, 19, 1), (900, 300, 160, 503, 3)


def small(kind: str) -> Any:
    """A small configuration of a type. Raises what transformers raises where the type allows none of this form."""
    if kind in GIVEN:
        return CONFIG_MAPPING[kind](**GIVEN[kind])
    made = _small(CONFIG_MAPPING[kind])
    with torch.device("meta"):
        count = sum(each.numel() for each in transformers.AutoModel.from_config(made).parameters())
    if count > LARGEST:
        raise ValueError(f"{count} parameters")
    return made


def _small(cls: Any) -> Any:
    base = cls()
    given = base.to_dict()
    wave = "conv_kernel" in given and "conv_stride" in given
    values = {name: value for name, value in WAVES.items() if name in given} if wave else _values(given)
    for name in getattr(cls, "sub_configs", {}):
        if (part := getattr(base, name, None)) is not None:
            values[name] = _small(type(part)).to_dict()
    return cls(**values)


def _values(given: dict[str, Any]) -> dict[str, int]:
    found = {}
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            continue
        if name.endswith("_id"):
            found |= {name: 3} if value >= 99 else {}
        else:
            least = next((least for pattern, least in SMALL if re.search(pattern, name)), value)
            found[name] = min(least, value)
    return found


def text_encoder(config: Any, folder: Path) -> HuggingFaceText:
    config.save_pretrained(folder)
    torch.manual_seed(0)
    vocabulary = min(30, int(getattr(config, "vocab_size", None) or 30))
    return HuggingFaceText(TextSpec(vocabulary, LENGTH, "any"), name=str(folder), weights=None, length=LENGTH, pool="none")


def audio_encoder(config: Any, folder: Path) -> HuggingFaceAudio:
    config.save_pretrained(folder)
    torch.manual_seed(0)
    return HuggingFaceAudio(AudioSpec(0, 16000, "waves"), name=str(folder), weights=None, pool="none")


def some_texts() -> Ragged:
    generator = torch.Generator().manual_seed(0)
    return Ragged.of([torch.randint(4, 30, (each,), generator=generator, dtype=torch.int32) for each in TEXT_LENGTHS])


def some_waves() -> Ragged:
    generator = torch.Generator().manual_seed(0)
    return Ragged.of([torch.randn(each, generator=generator) for each in WAVE_LENGTHS])


@torch.no_grad()
def dependence(encoder: torch.nn.Module, inputs: Ragged) -> float:
    """The largest difference of a token alone and in the batch of all, in standard deviations of the tokens of its input."""
    encoder.eval()
    together, worst = encoder(inputs.take(torch.arange(len(inputs)))), 0.0
    for row in range(len(inputs)):
        alone = encoder(inputs.take(torch.tensor([row])))
        assert bool(alone.mask.any()) and int(together.mask[row].sum()) == int(alone.mask.sum())
        values = alone.values[alone.mask]
        spread = values.std(correction=0).clamp_min(1e-9)
        worst = max(worst, float((together.values[row][together.mask[row]] - values).abs().max() / spread))
    return worst


def outcome(kind: str, modality: str, folder: Path) -> str:
    """`works`, `refused` (a `Problem`), or `too large or other` where no small configuration was found.

    Any other error of the encoder, and an output that depends on the batch, fails.
    """
    try:
        config = small(kind)
    except Exception:  # transformers raises many kinds, and other libraries may be missing
        return "too large or other"
    try:
        encoder = text_encoder(config, folder) if modality == "text" else audio_encoder(config, folder)
    except Problem:
        return "refused"
    assert dependence(encoder, some_texts() if modality == "text" else some_waves()) < 1e-4, kind
    return "works"
