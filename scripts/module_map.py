"""Writes the module map of docs/architecture.md from the first line of every module's docstring.

Usage: python scripts/module_map.py [--check]
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("libs/headrace", "services", "jobs", "cli", "deploy", "bench")
BEGIN, END = "<!-- module map: written by scripts/module_map.py -->\n", "<!-- end of module map -->\n"


def packages() -> Iterator[tuple[Path, list[Path]]]:
    """Each package with its modules, in the order of the page."""
    for folder in FOLDERS:
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            modules = sorted(
                path for path in init.parent.glob("*.py") if path.name not in {"__init__.py", "__main__.py"}
            )
            yield init.parent, modules


def first_line(path: Path) -> str:
    """The first line of a module's docstring. Raises `ValueError` when there is none."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    if not text:
        raise ValueError(f"{path} does not say what it is")
    return text.splitlines()[0]


def render() -> str:
    """The map: a heading line per package, a table row per module."""
    lines = []
    for package, modules in packages():
        lines += [f"**`{package.relative_to(ROOT)}/`** {first_line(package / '__init__.py')}", ""]
        if modules:
            lines += ["| module | |", "|---|---|"]
            lines += [f"| `{module.stem}` | {first_line(module)} |" for module in modules]
            lines.append("")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or with `--check` say whether it is as it should be."""
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    wanted = f"{head}{BEGIN}{render()}{END}{tail}"
    if "--check" in sys.argv[1:]:
        return int(page != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
