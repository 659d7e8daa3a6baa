"""Texts of strangers on a terminal."""


def printable(text: str) -> str:
    """Visitors write these texts: no escape sequence of theirs may reach the terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
        for character in text
    )
