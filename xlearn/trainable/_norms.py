"""Train the normalisation layers and the head only."""

from torch import nn

from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem
from xlearn.trainable import Rate

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def norms(network: Network, *, head: bool = True) -> dict[str, Rate]:
    """The head (unless `head` is false), and scales and shifts of all normalisations (Frankle, Schwab & Morcos, ICLR 2021, for
    batch normalisation; for layer normalisation as in Lu et al., AAAI 2022). Running statistics are updated too.

    Raises `Problem` for a network without normalisation layers with parameters.
    """
    found = [
        f"{path}.{name}"
        for path, module in network.named_modules()
        if isinstance(module, NORMS) or type(module).__name__.endswith("Norm")
        for name, _ in module.named_parameters(recurse=False)
    ]
    if not found:
        raise Problem(
            "norm_only, tent, adabn: the network has no normalisation with parameters. Use an encoder with one "
            "(encoder/image=resnet18 or efficientnet_lite0, encoder.image.normalisation=batch, encoder/text=transformer or "
            "minilm), or trunk=mlp trunk.normalisation=batch; or another transfer (bitfit, shot)."
        )
    heads = [name for name, _ in network.named_parameters() if name.startswith("head.")] if head else []
    return dict.fromkeys([*found, *heads], Rate())
