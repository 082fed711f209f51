"""Settings of the book, which `make book` builds from build/book-sources."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

project = "mtrec"
author = "The mtrec developers"
copyright = author
html_title = "mtrec"

extensions = [
    "myst_nb", "autoapi.extension", "sphinx.ext.napoleon", "mathml",
]  # fmt: skip
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
suppress_warnings = [
    "toc.not_included",  # the API reference: in the navigation of every page it would be slow
    "autoapi.python_import_resolution",  # constants that are made by unpacking
    "ref.python",  # a type such as bytes, of which some class has an attribute
]
# Roles must lead somewhere. Types of other packages and short names of types need not, and the
# names below stand in modules whose change would train all models again.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(?!mtrec\.).*"), ("py:obj", r"(?!mtrec\.).*"), ("py:func", r"numpy\..*"),
]  # fmt: skip

nitpick_ignore = [
    ("py:class", "mtrec.balancing.Balancer"), ("py:class", "mtrec.domains.own.domain.SideColumns"),
    ("py:func", "bucketed"), ("py:func", "teach"), ("py:func", "verify_dvc"),
]  # fmt: skip

# Outputs are those of the executed notebooks.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
html_math_renderer = "mathml"
napoleon_use_ivar = True

# The reference is read from the sources; nothing is imported.
autoapi_dirs = [str(ROOT / "src" / "mtrec")]
autoapi_root = "api"
autoapi_add_toctree_entry = False
autoapi_keep_files = True
autoapi_member_order = "bysource"
autoapi_options = [
    "members", "undoc-members", "show-inheritance", "show-module-summary",
]  # fmt: skip
autoapi_python_class_content = "class"

html_theme = "furo"  # light, dark and phone without a script or a font from elsewhere
html_static_path = [str(ROOT / "docs" / "_static")]
html_css_files = ["book.css"]
html_copy_source = False
