"""What the tests share: tasks, networks, phases, runs and results that are small, and laws that hold of many options."""
