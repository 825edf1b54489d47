"""Searches, ablations, jobs, and training on many machines, on Ray."""
