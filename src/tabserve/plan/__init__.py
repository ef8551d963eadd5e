"""What a table holds, and what is to be learned from it."""
