"""Solvers: phases in closed form. Built as `Solver(network, tasks)` when the phase begins, and before any training to see
whether it can be; called with the machine it changes the network in place, and returns what to report.

`tasks` are those that the phase reads, by role: sources, `target` where it has labels, `unlabeled`. Encoders that bring weights
have encoded the examples before, unless the solver says `moves_encoders = True`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "adabn": ["AdaBN"],
        "bbse": ["Bbse"],
        "coral_features": ["CoralFeatures"],
        "subspace_alignment": ["SubspaceAlignment"],
        "tca": ["Tca"],
    },
)
