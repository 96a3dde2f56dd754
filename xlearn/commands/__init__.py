"""One file for each command of `xlearn`, and what they say on the screen.

A command composes a configuration, hands it to `xlearn.plan` and `xlearn.pipeline`, and prints.
"""
