"""Domain generalization: several sources, each an environment, and a target that is not used in training."""
