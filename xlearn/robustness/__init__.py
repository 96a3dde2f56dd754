"""Robustness: test inputs spoiled to a level. Called as `spoil(examples, level, generator)`, gives `Examples`.

Each has the keywords `modality`, and `levels`, at which the run's metric is measured.
"""
