"""Augmentations of whole batches: `augment(batch, generator) -> Batch`, drawing anew for every example.

They act on the modality `image`, `[batch, channels, height, width]`, values 0..255.
"""
