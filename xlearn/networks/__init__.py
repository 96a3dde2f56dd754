"""The network that every method trains: encoders, fusion, trunk and heads.

Also functions that compute a network's logits, features and module outputs.
"""
