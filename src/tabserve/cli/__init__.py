"""The words of `tabserve`."""
