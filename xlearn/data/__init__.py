"""From files to tasks: columns of examples, splits, batches, and the guard against leaks.

`tasks` loads data, `modalities` brings them into a form, `augment` changes batches.
"""
