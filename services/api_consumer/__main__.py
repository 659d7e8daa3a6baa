"""`python -m services.api_consumer`."""

from headrace.runtime import run_service
from services.api_consumer.app import main

if __name__ == "__main__":
    run_service("api_consumer", main)
