"""Learners: the networks of a run, the phases that train them, and the weights copied between them.

The run's own learner, its baseline and its bounds are built here, before any training.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, submod_attrs={"comparisons": ["FromScratch"]})
