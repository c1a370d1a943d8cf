#!/bin/sh
# Delete from a virtual environment what ModelWatch never uses at run time; the Dockerfile runs it. Usage: slim.sh VENV
# Figures are plain dictionaries (dash_app/), which need neither Plotly's builders of figures nor its notebooks; pages are served
# without debugging, so that neither source maps nor development builds are asked for.
set -eu
cd "$1"/lib/python3*/site-packages
find . -name '*.map' -delete
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
rm -rf plotly/matplotlylib plotly/express plotly/figure_factory plotly/data plotly/labextension \
    plotly/package_data/datasets plotly/package_data/widgetbundle.js
rm -f dash/dash-renderer/build/dash_renderer.dev.js dash/dash_table/demo.js dash_ag_grid/async-enterprise.js
find dash/deps -name '*.js' ! -name '*.min.js' -delete
