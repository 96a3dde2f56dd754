"""`xlearn table`: the results of many runs as one table.

Means and intervals over seeds, gains, paired tests, and what is missing.
"""
