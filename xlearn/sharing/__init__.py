"""Sharing: which of the names that two networks have in common travel. Called as `sharing(names, network)`."""
