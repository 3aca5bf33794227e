"""One module for each generated page; each has a pure function `page()` that returns the page's whole text."""
