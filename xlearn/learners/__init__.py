"""The networks of a run, the phases each goes through, and what travels between them.

The run's own learner, its baseline and its bounds are built here, before any training.
"""
