"""Train one block of every encoder and the head (surgical fine-tuning)."""

from xlearn.networks.network import Network, encoder_blocks, owned
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate


def surgical(network: Network, *, block: int, head: float = 1.0) -> dict[str, Rate]:
    """One block of every encoder, counted from the input (1, 2, ...) or from the top (-1, -2, ...), and the head at `head`
    times the rate (0: frozen). Surgical fine-tuning (Lee et al., ICLR 2023) finds the first block best for input shifts, and
    the last blocks for label shifts.

    Raises `Problem` for an encoder without such a block.
    """
    names = [name for name, _ in network.named_parameters()]
    found = [name for name in names if name.startswith("head.") and head > 0]
    rates = dict.fromkeys(found, Rate(head))
    for modality, blocks in encoder_blocks(network).items():
        if not 1 <= abs(block) <= len(blocks):
            raise Problem(
                f"trainable.block={block}: the encoder of {modality} has {len(blocks)} block(s). Give 1 to {len(blocks)} from "
                f"the input, or -1 to -{len(blocks)} from the top."
            )
        chosen = blocks[block - 1 if block > 0 else block]
        rates |= dict.fromkeys(owned(names, chosen), Rate())
    return rates
