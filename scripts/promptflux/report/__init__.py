"""The page on a whole study, and which files it shows."""
