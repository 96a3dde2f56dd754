"""Configuration: the schema, and composition by Hydra.

`component` is the only place where a node of the configuration becomes a Python call.
"""
