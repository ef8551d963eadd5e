"""What is to be learned, from which columns."""
