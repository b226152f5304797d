"""Settings of the documentation site: `make docs` builds it from these pages, without the internet."""

import os
import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

from invae import __version__

ROOT = Path(__file__).parents[1]

project = "invae"
author = "The invae authors"
copyright = f"{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['license']} licence"  # noqa: A001
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "myst_nb",
]
exclude_patterns = ["_build", "**/__pycache__"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
"""Notebooks call the `invae` of this environment."""
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
autoclass_content = "both"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "notes")]

html_theme = "pydata_sphinx_theme"
html_title = f"invae {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

OUTSIDE = {
    "../README.md": "index.md",
    "../CONTRIBUTING.md": "site/contributing.md",
    "../deployments/README.md": "site/deployments.md",
}
"""Pages outside of this folder, and what the site has in their place."""


def lead_inside(app: object, page: str, source: list[str]) -> None:
    """Change links to pages outside of this folder."""
    for outside, inside in OUTSIDE.items():
        source[0] = source[0].replace(f"]({outside})", f"]({inside})")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", lead_inside)
