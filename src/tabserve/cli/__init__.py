"""The command line of `tabserve`."""
