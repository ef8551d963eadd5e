"""`python -m tabserve` is `tabserve`."""

from tabserve.cli import main

main()
