"""xlearn: transfer across tasks, domains and modalities, with honest numbers."""

import lazy_loader as lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "api": ["evaluate", "fit", "load_task", "read", "records", "run", "show"],
        "data.task": ["Task"],
        "networks.network": ["Network"],
    },
)
