"""The Santander case: its problem, its candidates and its synthetic sample."""
