"""From a composed configuration to the components of a run.

Everything is built and checked here, before any data are loaded.
"""
