"""Configuration: the schema, and composition by Hydra.

`component` is the one place where a node becomes a call; after it nothing is configuration any more.
"""
