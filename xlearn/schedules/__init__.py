"""Schedules: factors of the learning rate.

Called as `schedule(step, steps)`, with steps 0 to steps - 1.
"""
