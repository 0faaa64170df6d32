"""Ways to start worker processes: on this machine, and as actors on a Ray cluster."""
