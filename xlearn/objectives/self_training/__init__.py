"""Learning from the network's own predictions on unlabelled examples. Pseudo-labels, consistency and entropy."""
