"""Work that runs to completion."""
