"""Numbers with their units, for people: 112k parameters, 4.6 MFLOPs. Imports nothing heavy."""


def compact(number: float) -> str:
    """Three significant digits: 512, 1.2k, 112k, 1.41M, 2B."""
    rounded = float(f"{number:.3g}")
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if rounded >= size:
            return f"{rounded / size:.3g}{unit}"
    return f"{rounded:g}"


def megaflops(flops: float) -> str:
    """Millions of operations, three significant digits: 0.0213, 4.6, 12300."""
    rounded = float(f"{flops / 1e6:.3g}")
    return f"{rounded:.0f}" if rounded >= 1000 else f"{rounded:g}"
