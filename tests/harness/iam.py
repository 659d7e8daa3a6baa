"""Policies of IAM, as far as those of our roles go: what they allow, as a pure question."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self


class Need(NamedTuple):
    """Something that a call has to be allowed."""

    action: str
    resource: str
    """An ARN."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One that allows, without conditions."""

    actions: frozenset[str]
    resources: tuple[str, ...]

    def allows(self, need: Need) -> bool:
        """Whether it says so by itself."""
        return need.action in self.actions and any(_fits(pattern, need.resource) for pattern in self.resources)


@dataclass(frozen=True, slots=True)
class Policy:
    """All that one role may do."""

    statements: tuple[Statement, ...]

    @classmethod
    def of(cls, documents: Iterable[Mapping[str, Any]]) -> Self:
        """Policy documents → what they allow. Raises `ValueError` for what this does not understand."""
        return cls(tuple(_statement(each) for document in documents for each in document["Statement"]))

    def allows(self, need: Need) -> bool:
        """Whether any statement does: what none allows is refused."""
        return any(statement.allows(need) for statement in self.statements)

    def without(self, action: str) -> Self:
        """The same, had nobody thought of an action."""
        return type(self)(tuple(Statement(each.actions - {action}, each.resources) for each in self.statements))


def _statement(raw: Mapping[str, Any]) -> Statement:
    if raw["Effect"] != "Allow" or set(raw) - {"Sid", "Effect", "Action", "Resource"}:
        raise ValueError(f"a statement of ours allows, without conditions: {raw}")
    actions, resources = (_listed(raw[name]) for name in ("Action", "Resource"))
    if unclear := [text for text in (*actions, *resources) if not isinstance(text, str) or "${" in text]:
        raise ValueError(f"not resolved: {unclear}")
    if patterns := [text for text in actions if "*" in text]:
        raise ValueError(f"actions are named one by one: {patterns}")
    return Statement(frozenset(actions), tuple(resources))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fits(pattern: str, arn: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), arn) is not None
