"""Self-supervision: contrastive learning, redundancy reduction and reconstruction, without labels. Trains no task's head."""
