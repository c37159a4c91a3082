"""The colormaps that a config may name; planning does not wait for matplotlib to say them.

A test holds them to those of the locked matplotlib.
"""

# Each also the other way round, as `viridis_r`.
COLORMAPS = """
Accent Blues BrBG BuGn BuPu CMRmap Dark2 GnBu Grays Greens Greys OrRd Oranges PRGn Paired Pastel1
Pastel2 PiYG PuBu PuBuGn PuOr PuRd Purples RdBu RdGy RdPu RdYlBu RdYlGn Reds Set1 Set2 Set3 Spectral
Wistia YlGn YlGnBu YlOrBr YlOrRd afmhot autumn berlin binary bone brg bwr cividis cool coolwarm
copper cubehelix flag gist_earth gist_gray gist_grey gist_heat gist_ncar gist_rainbow gist_stern
gist_yarg gist_yerg gnuplot gnuplot2 gray grey hot hsv inferno jet magma managua nipy_spectral ocean
okabe_ito pink plasma prism rainbow seismic spring summer tab10 tab20 tab20b tab20c terrain turbo
twilight twilight_shifted vanimo viridis winter
""".split()


def colormap_schema() -> dict:
    """What `figures.colormap` of config.yaml may be."""
    return {
        "description": "the name of a matplotlib colormap, such as viridis, magma, cividis, gray or coolwarm",
        "enum": [*COLORMAPS, *(f"{name}_r" for name in COLORMAPS)],
    }
