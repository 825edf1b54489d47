"""Feature extractors: crops (B, 3, H, W) → one feature map."""
