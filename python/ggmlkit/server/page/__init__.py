"""The page at ``/``: a chat in the browser, made of static files."""
