"""The HTTP surface, one module for each thing that it shows."""
