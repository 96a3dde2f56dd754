"""Supervised losses on labels. Some weigh or adjust classes for imbalanced data."""
