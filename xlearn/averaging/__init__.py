"""Weights made of weights: what a phase leaves. Called as `leaves(before, kept) -> weights`.

`before` and `kept`: the network's parameters and buffers by name, when the phase began and those that it kept. With nothing
given it gives nothing, and raises `Problem` for arguments out of range: so it is tried before any training.
"""
