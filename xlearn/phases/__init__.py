"""One phase of training: what it reads, minimises and trains, the loop `fit`, selection, and the cache that it goes through.

A phase is a pure function of its incoming weights, its data and its seed.
"""
