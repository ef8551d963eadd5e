"""What every test of the repository has: programs that it may need, and the list of what was skipped."""

pytest_plugins = ["tests.needs", "tests.skipped"]
