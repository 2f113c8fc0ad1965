"""One file a method; each registers itself when it is imported."""
