"""Learning from inputs without labels: contrast, redundancy reduction, and reconstruction. They train no task's head."""
