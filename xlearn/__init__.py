"""xlearn: transfer across tasks, domains and modalities, with honest numbers."""

__version__ = "0.1.0"
