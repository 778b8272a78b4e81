"""Search for settings by asynchronous successive halving, on the validation part alone."""
