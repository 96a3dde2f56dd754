"""Schedules: `schedule(step, steps)` multiplies the learning rate of step 0..steps-1."""
