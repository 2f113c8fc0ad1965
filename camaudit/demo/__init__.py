"""The doctor/nurse demo: small licensed data and the two models' training."""
