"""What trains: the tasks, one training, and the loop that claims, reports, obeys and finishes."""
