"""Self-training: learn from the network's predictions on unlabelled examples. Pseudo-labels, consistency and entropy."""
