"""The complete source model of `encoder/image=digit_net`, including its head."""

from torch import Tensor

from xlearn.encoders.digit_net import CLASSES, DigitNet, published
from xlearn.label_spaces.classes import Classes
from xlearn.networks.network import Network
from xlearn.runtime.errors import Problem


def digit_net(network: Network) -> dict[str, Tensor]:
    """The published weights of the encoder and of its ten-digit output layer, which becomes the head.

    Raises `Problem` for another encoder, a trunk, and a task of other classes.
    """
    encoder = dict(network.encoder.items()).get("image")
    if not isinstance(encoder, DigitNet):
        raise Problem("pretrain=digit_net loads the weights of encoder/image=digit_net. Choose that encoder.")
    ending = Classes("", CLASSES).key
    heads = [key for key in network.head if key.endswith(ending)]
    if not heads or network.width != encoder.width:
        found = "its features go through something else" if heads else "the task has other classes"
        raise Problem(
            f"pretrain=digit_net: the source model predicts the digits 0 to 9 from the encoder's features, but {found}. Use a "
            "task of digits (target=optdigits), fusion=concat and trunk=none."
        )
    encoder.load_published(published(encoder.net))
    weight, bias = [*published(encoder.net).values()][-2:]
    whole = {f"encoder.image.{name}": value for name, value in encoder.state_dict().items()}
    return {**whole, f"head.{heads[0]}.weight": weight, f"head.{heads[0]}.bias": bias}
