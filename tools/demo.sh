#!/usr/bin/env bash
# Run the recipe egs/mini from audio files to its result table and show the table.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/activate_python.sh"
cd "$root/egs/mini"
./run.sh --stage 0 --stop-stage 5

newest=
for table in exp/*/RESULTS.md; do
    if [ -f "$table" ] && { [ -z "$newest" ] || [ "$table" -nt "$newest" ]; }; then
        newest=$table
    fi
done
[ -n "$newest" ] || {
    echo "error: egs/mini/run.sh ended well but left no exp/*/RESULTS.md" >&2
    exit 1
}
echo
cat "$newest"
echo
echo "Table:   $root/egs/mini/$newest"
for figure in "$(dirname "$newest")"/*.png; do
    [ ! -f "$figure" ] || echo "Figure:  $root/egs/mini/$figure"
done
echo
python "$root/tools/check_demo.py" "$(dirname "$newest")"
