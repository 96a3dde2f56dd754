"""Supervised losses, including those for imbalanced classes."""
