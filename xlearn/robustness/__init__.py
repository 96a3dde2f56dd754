"""Robustness: corruptions of test inputs. Called as `spoil(examples, level, generator)`; returns `Examples`.

Each has the keywords `modality`, and `levels`, at which the run's metric is measured.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_missing": ["missing"],
        "_noise": ["noise"],
    },
)
