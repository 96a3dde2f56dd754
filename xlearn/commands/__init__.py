"""One file for each command of `xlearn`, and the texts that they print.

A command composes a configuration, hands it to `xlearn.plan` and `xlearn.pipeline`, and prints.
"""
