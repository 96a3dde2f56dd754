"""Losses on labels. They also hold the weights of classes for imbalanced data."""
