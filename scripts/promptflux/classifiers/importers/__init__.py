"""Networks of other formats: read into the layers of a spec and their weights."""
