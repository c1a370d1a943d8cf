"""What is around every page: the bar, the address, the pulse that asks for figures, and what a page must be."""
