"""Penalties on weights or features, added to a loss. Some penalise the distance to the source's weights or features."""
