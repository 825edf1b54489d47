"""Search spaces, one per file; `tune.load_space` finds them."""
