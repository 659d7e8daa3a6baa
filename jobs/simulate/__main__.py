"""`python -m jobs.simulate api|stream|file …`."""

from jobs.simulate.cli import app

if __name__ == "__main__":
    app(prog_name="python -m jobs.simulate")
