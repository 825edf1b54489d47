"""What is measured, beside its stored results."""
