"""`python -m cli`: the `headrace` command where it is not installed, as in a container."""

from cli.main import main

if __name__ == "__main__":
    main()
