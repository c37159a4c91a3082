"""Where images lie to each other: what a classifier's layer before the last gives of them, compared and projected."""
