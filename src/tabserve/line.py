"""Any text in, one line for a terminal out."""


def shown(text: str) -> str:
    """The text, with escapes for what would end the line, move the cursor or cannot be seen."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
