"""Balances: several named losses to one gradient. Called as `balance(losses, network)`; it runs the backward pass."""
