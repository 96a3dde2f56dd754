"""Hard parameter sharing: one shared network below the heads, a head for every task."""

from xlearn.networks.network import Network


def hard(names: list[str], network: Network) -> list[str]:
    """All names except the heads' (Caruana, ICML 1993): `y_t = h_t(f(x))`, even if two tasks have the same classes.

    (`sharing=all` has one head for tasks of the same classes.)
    """
    return [name for name in names if not name.startswith("head.")]
