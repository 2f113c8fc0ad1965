"""One file a provider, named as its word."""
