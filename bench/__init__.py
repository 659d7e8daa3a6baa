"""CPU per event, beside peers and limits: `make bench`."""
