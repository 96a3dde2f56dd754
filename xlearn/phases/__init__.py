"""Phases of training: the definition of a phase, its checks, the loop `fit`, the selection of weights, and the cache.

A phase is a pure function of its incoming weights, its data and its seed.
"""
