"""The figures of one image as one classifier sees it, one module each.

A module here is a figure, and there is no list to add it to. It is called as its file is:
`{module}.png`, one for each image. What it says of itself stands in constants at its top, as
plain values, because rules read them without running the module (see `promptflux.figures.catalog`):

PLACE: a number; the report shows the figures in its order.
TITLE: a few words.
CAPTION: how to read it, for the report.
OF, if it is of images alone of which it is known why the classifier says what it says: "explained", or "explained, with a
convolution" if that takes a convolution whose maps have places.
EACH, if there is one figure for each layer of a kind: that kind, such as "conv". FILE, TITLE and
CAPTION may then have `{number}` in them, 1 for the first such layer, and FILE is needed.

`draw(subject, style)`, or `draw(subject, layer, style)` with EACH, returns the `Sheet`.
"""
