"""One file for each kind of scene: its painter, its words, its things and what is plausible in it."""
