"""Asks a server."""
