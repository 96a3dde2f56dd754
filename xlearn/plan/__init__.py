"""Planning: build the components of a run from its composed configuration.

Everything is built and checked before any data are loaded.
"""
