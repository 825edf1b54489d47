"""Configuration and the loops: train, evaluate. A task object supplies what differs between kinds of networks."""
