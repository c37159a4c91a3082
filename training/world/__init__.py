"""The drawn world: ten kinds of scene, what can be said of them, and how they are drawn."""
