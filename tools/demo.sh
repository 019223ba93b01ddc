#!/usr/bin/env bash
# Run the recipe egs/mini from audio files to its result table and show the table.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/activate_python.sh"
cd "$root/egs/mini"
./run.sh --stage 0 --stop-stage 5

exp=exp/m4ser
echo
cat "$exp/RESULTS.md"
echo
echo "Table:   $root/egs/mini/$exp/RESULTS.md"
for figure in "$exp"/*.png; do
    [ ! -f "$figure" ] || echo "Figure:  $root/egs/mini/$figure"
done
echo
python "$root/tools/check_demo.py" "$exp"
printf 'Try it:  . %q && m4ser demo --model %q\n' "$root/tools/activate_python.sh" "$root/egs/mini/$exp"
