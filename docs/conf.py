"""Settings of Sphinx, which makes the site; ``tools/site.py`` writes what it reads."""

import rher_pl

project = "rher_pl"
author = "The rher_pl authors"
version = release = rher_pl.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
myst_heading_anchors = 4  # as GitHub makes them

html_theme = "furo"
html_title = f"rher_pl {version}"
html_static_path = ["../build/site/pages/_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False

autodoc_default_options = {"members": True}  # those with a docstring
autodoc_inherit_docstrings = False  # Lightning has its own documentation
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
python_maximum_signature_line_length = 80
