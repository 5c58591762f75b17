"""The HTML page's parts: what it shows is worked out here, how it looks is in its template."""
