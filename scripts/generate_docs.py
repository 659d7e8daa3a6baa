"""Writes the parts of docs/ that follow from the code: modules, settings, columns of events and gold, gaps, cost.

Usage: python scripts/generate_docs.py [--check]
"""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import AliasChoices, SecretStr

from headrace.events.schema import COLUMNS
from headrace.settings import METRICS_PORTS, Settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from cli.cost import page as cost  # noqa: E402 - found below ROOT when nothing is installed
from deploy.ecs import policies, task_definitions, template  # noqa: E402 - as below
from jobs.medallion.tables import GOLD, GOLD_RUNS  # noqa: E402 - found below ROOT when nothing is installed
from tests.contract.engines import Gap  # noqa: E402 - tests are no package that is installed

FOLDERS = ("libs/headrace", "services", "jobs", "cli", "deploy", "bench")
BEGIN, END = "<!-- written by scripts/generate_docs.py: {} -->\n", "<!-- end: {} -->\n"


def modules() -> str:
    """A heading line per package, a table row per module, in the words of their docstrings."""
    lines = []
    for package, files in _packages():
        lines += [f"**`{package.relative_to(ROOT)}/`** {_first_line(package / '__init__.py')}", ""]
        if files:
            lines += ["| module | |", "|---|---|"]
            lines += [f"| `{file.stem}` | {_first_line(file)} |" for file in files]
            lines.append("")
    return "\n".join(lines) + "\n"


def settings() -> str:
    """A table row per environment variable."""
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        assert isinstance(field.validation_alias, AliasChoices)
        variables = " or ".join(f"`{choice}`" for choice in field.validation_alias.choices)
        default = _default(field.default)
        if name == "metrics_port":
            default = ", ".join(f"{service} {port}" for service, port in METRICS_PORTS.items())
        lines.append(f"| {variables} | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def columns() -> str:
    """A table row per column."""
    lines = ["| column | type | |", "|---|---|---|"]
    lines += [f"| `{column.name}` | {column.kind} | {column.about} |" for column in COLUMNS]
    return "\n".join(lines) + "\n"


def gold() -> str:
    """A table row per column of gold."""
    lines = ["| table | column | type | |", "|---|---|---|---|"]
    lines += [
        f"| `{table.name}` | `{column.name}` | {column.type} | {column.about} |"
        for table in (*GOLD, GOLD_RUNS)
        for column in table.columns
    ]
    return "\n".join(lines) + "\n"


def engines() -> str:
    """A table row per known difference between an engine and AWS."""
    lines = ["| engine | port | there | on AWS | what we make of it is shown by | noticed when it is gone |"]
    lines.append("|---|---|---|---|---|---|")
    for each in (gap.value for gap in Gap):
        shown = "<br>".join(f"`{test.partition('::')[2]}` ({test.partition('::')[0]})" for test in each.shown_by)
        noticed = f"no: {each.unseen}" if each.unseen else "yes"
        names = ", ".join(each.engines)
        lines.append(f"| {names} | {each.port} | {each.here} | {each.aws} | {shown} | {noticed} |")
    return "\n".join(lines) + "\n"


SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "modules": ("docs/architecture.md", modules),
    "settings": ("docs/settings.md", settings),
    "columns": ("docs/events.md", columns),
    "engines": ("docs/engines.md", engines),
    "gold": ("docs/medallion.md", gold),
    "cost": ("docs/cost.md", cost.bill_table),
    "cost peers": ("docs/cost.md", cost.peer_table),
    "cost levers": ("docs/cost.md", cost.lever_table),
    "cost steps": ("docs/cost.md", cost.step_table),
    "cost inputs": ("docs/cost.md", cost.input_tables),
}

FILES: dict[str, Callable[[], dict[str, str]]] = {
    "deploy/ecs": lambda: {"headrace.yaml": policies.filled(template.HEADRACE.read_text(encoding="utf-8"))},
    "deploy/ecs/task_definitions": lambda: task_definitions.files(template.load()),
}
"""Folders whose files are written as a whole, by name."""


def main() -> int:
    """Write the pages, or with `--check` say whether they are as they should be."""
    stale = False
    for name, (path, render) in SECTIONS.items():
        begin, end = BEGIN.format(name), END.format(name)
        head, rest = (ROOT / path).read_text().split(begin)
        stale |= _settle(ROOT / path, f"{head}{begin}{render()}{end}{rest.split(end)[1]}")
    for folder, render_files in FILES.items():
        for name, wanted in render_files().items():
            stale |= _settle(ROOT / folder / name, wanted)
    return int(stale and "--check" in sys.argv[1:])


def _settle(path: Path, wanted: str) -> bool:
    """Have the file say this, unless only asked: whether it said something else."""
    if path.is_file() and path.read_text() == wanted:
        return False
    if "--check" not in sys.argv[1:]:
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted)
    return True


def _packages() -> Iterator[tuple[Path, list[Path]]]:
    for folder in FOLDERS:
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            yield (
                init.parent,
                sorted(path for path in init.parent.glob("*.py") if path.name not in {"__init__.py", "__main__.py"}),
            )


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text()))
    if not text:
        raise ValueError(f"{path} does not say what it is")
    return text.splitlines()[0]


def _default(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(secret)"
    return "" if value in (None, "", []) else f"`{value}`"


if __name__ == "__main__":
    sys.exit(main())
