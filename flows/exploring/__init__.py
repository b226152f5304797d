"""`invae explore`: one result, live in a browser of this machine."""
