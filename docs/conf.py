"""How Sphinx makes the site of these pages; `make docs` runs it.

Nothing here needs a network, in the build or in the reader's browser.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jedi_sklearn import __version__

sys.path.append(str(Path(__file__).with_name("_extensions")))

project = "jedi_sklearn"
author = "jedi_sklearn developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    # Of _extensions/.
    "arrows",
    "mathml",
    "own_members",
    "prose_tables",
    "public_names",
    "repository_links",
]
exclude_patterns = ["_templates", "checks", "**/*.ipynb", "sg_execution_times.rst"]
templates_path = ["_templates"]

# Pages are Markdown, with anchors as on a forge, so that links work in both places.
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 4

# The reference. Types are in the docstrings, where they say more.
autosummary_generate = True
autodoc_typehints = "none"
autodoc_default_options = {
    "members": True,
    "inherited-members": True,
    "member-order": "bysource",
}
numpydoc_show_class_members = False
python_use_unqualified_type_names = True
python_display_short_literal_types = True
add_module_names = False
default_role = "literal"
toc_object_entries_show_parents = "hide"

# Every reference has to lead somewhere, but for those to other packages, whose
# inventories would need a network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(joblib|numpy|pandas|sklearn|skops|skorch|torch)(\..*)?")
]

html_theme = "pydata_sphinx_theme"
html_title = f"jedi_sklearn {release}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
# Pages that have none beside or below them need no list of such.
html_sidebars = {
    page: []
    for page in (
        *("index", "getting_started", "evidence", "performance", "paper_map"),
        *("errors", "changelog", "security", "genindex", "search", "source/**"),
    )
}
html_theme_options = {
    "logo": {"text": "jedi_sklearn"},
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["version"],
    "primary_sidebar_end": [],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    # Scripts that need a cluster, or arguments.
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",
    "within_subsection_order": "gallery.place",
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "gallery.warnings_are_errors"),
    "doc_module": ("jedi_sklearn",),
    "backreferences_dir": "api/backreferences",
    "download_all_examples": False,
    "write_computation_times": False,
    # Times are of a machine that does other things besides.
    "min_reported_time": 1e9,
    "show_signature": False,
    "parallel": 2,
}
