"""The V2 inference protocol as plain data, whatever carries it."""
