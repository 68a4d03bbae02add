"""Actor, critics, normaliser and input encoder."""
