"""The flights case: how late a flight from New York arrives, in minutes."""
