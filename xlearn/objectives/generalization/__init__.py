"""Domain generalization: several sources, and a target that is unseen in training. Each source is an environment."""
