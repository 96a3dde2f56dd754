"""Solvers: phases with a closed-form solution. Built as `Solver(network, tasks)` at the start of the phase, and once before any
training as a check. A call with the machine changes the network in place, and returns the values to report.

`tasks`: those that the phase reads, by role: sources, `target` if it has labels, `unlabeled`. Pretrained encoders have encoded
the examples before, unless the solver has `moves_encoders = True`.
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
