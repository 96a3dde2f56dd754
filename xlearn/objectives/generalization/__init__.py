"""Domain generalization: several sources, and a target that is not used in training. Each source is an environment."""
