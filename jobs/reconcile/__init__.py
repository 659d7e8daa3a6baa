"""Proves that what was read is what landed: control rows, manifests, ledger and objects against each other."""
