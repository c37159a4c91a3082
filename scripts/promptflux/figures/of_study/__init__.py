"""The figures of a whole study, one module each: a TITLE, a CAPTION that says how to read it, and `draw`."""
