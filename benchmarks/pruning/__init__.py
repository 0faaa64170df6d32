"""Recorded learning curves of many candidates, and what pruning would have made of them."""
