"""Feature extractors: crops (B, 3, H, W) → a feature map per stage."""
