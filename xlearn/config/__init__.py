"""Configuration: the schema, composition by Hydra, and the one place where a node becomes a call."""
