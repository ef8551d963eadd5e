"""A loaded model and who asks it."""
