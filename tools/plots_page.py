"""Write a template for the page of `dvc plots` that contains Vega, which DVC's own page loads from the network.

    python tools/plots_page.py .dvc/tmp/plots.html
    dvc config --local plots.html_template tmp/plots.html

Plots are no wider than the screen, and the images of two revisions side by side where it is wide.
"""

import argparse
from pathlib import Path

import vl_convert

VEGA_LITE = "5.21"
"""DVC's plots are specifications of Vega-Lite 5."""

GLOBALS = "window.vegaEmbed = vegaEmbed; window.vegaLite = vegaLite; window.vega = vega;"
"""What DVC's plots use of the bundle."""

PAGE = """\
<!DOCTYPE html>
<html>
<head>
{refresh_tag}
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>DVC Plot</title>
<style>
body {font-family: sans-serif}
body > div {overflow-x: auto; white-space: normal !important}
body > div > div {vertical-align: top}
svg, img {max-width: calc(100vw - 60px); height: auto}
@media (min-width: 800px) {div + div > img, div:has(+ div) > img {max-width: 45vw}}
</style>
<script>
(() => {SCRIPTS})()
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""
"""DVC replaces the words in braces."""


def template() -> str:
    """Return a page with Vega, Vega-Lite and Vega-Embed."""
    return PAGE.replace("SCRIPTS", vl_convert.javascript_bundle(GLOBALS, VEGA_LITE) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(template(), encoding="utf-8")
