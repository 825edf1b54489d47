"""Feature map → output maps."""
