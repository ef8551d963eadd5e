"""What this case's tests share with the root's."""

from tests.conftest import script, shared

__all__ = ["script", "shared"]
