"""From an image file to a tensor: opening, fitting, and what a PNG says of itself."""
