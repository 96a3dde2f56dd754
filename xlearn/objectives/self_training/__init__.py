"""Self-training: learn from the network's predictions on unlabelled examples, by pseudo-labels, consistency and entropy."""
