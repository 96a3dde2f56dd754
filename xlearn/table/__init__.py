"""Results of many runs as one table: means and intervals over seeds, gains, tests, and what is missing."""
