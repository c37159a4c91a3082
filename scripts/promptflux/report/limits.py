"""How much of a large study is shown, so that its pictures and its report stay small."""

MOST_GALLERY_ROWS = 24  # a prompt each, or the user's own images
MOST_GALLERY_IMAGES = 48  # in a row
MOST_PROMPTS = 200  # listed in the report
MOST_EXPLORED = 100_000  # images in the explorer, which a browser must hold
