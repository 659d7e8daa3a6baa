"""`python -m services.transformer`."""

from headrace.runtime import run_service
from services.transformer.app import main

if __name__ == "__main__":
    run_service("transformer", main)
