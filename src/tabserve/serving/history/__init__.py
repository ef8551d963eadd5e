"""A history of answered requests: what was asked, what was answered, when and by which model."""
