"""What is done with a model later: check, compare, look for drift, move the threshold."""
