"""`python -m tabserve` is `tabserve`."""

from tabserve.cli.main import main

main()
