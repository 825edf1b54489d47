"""Raw datasets → tar shards with Arrow sidecars; opening, verifying and listing them."""
