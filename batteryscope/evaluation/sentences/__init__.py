"""The sentences of findings, by what was predicted."""
