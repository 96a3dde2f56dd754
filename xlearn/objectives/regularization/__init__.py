"""Penalties on weights or features beside a loss. Some pull towards the weights or features of the source."""
