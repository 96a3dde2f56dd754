"""Domain adaptation: source and target features are brought together without target labels.

By moments and kernels, by transport, or by an adversary.
"""
