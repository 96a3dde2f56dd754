"""`xlearn search`: values of the configuration chosen by a selection rule, never by the test split.

Each trial is an ordinary run, and an interrupted search resumes.
"""
