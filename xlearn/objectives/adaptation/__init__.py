"""Domain adaptation: align source and target features without target labels.

Methods: moments and kernels, optimal transport, and adversarial training.
"""
