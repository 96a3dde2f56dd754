"""Where weights come from without training. Called as `start(network)`, gives `{name: tensor}` to load into it."""
