"""The network that every method trains: encoders, fusion, trunk and heads.

Beside it, what asks a network for logits, features and outputs of its modules.
"""
