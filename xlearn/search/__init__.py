"""`xlearn search`: values of the configuration chosen by a rule of selection, never by the test split.

Each trial is an ordinary run, and an interrupted search goes on.
"""
