"""The pictures of a study, and what they have in common."""
