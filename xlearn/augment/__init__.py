"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawing anew for every example.

A batch without the modality that one acts on is returned as it is, the same object.
"""
