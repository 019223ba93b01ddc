#!/usr/bin/env bash
# Make the folder of a new recipe: egs/TEMPLATE/setup.sh egs/mycorpus
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

case $#$* in
    1-* | 0* | [!1]*) fail "usage: egs/TEMPLATE/setup.sh egs/NAME" ;;
    *) ;;
esac
name=$(basename -- "$1")
parent=$(dirname -- "$1")
[[ $name =~ ^[a-z][a-z0-9_]*$ ]] || fail "$name: the name of a recipe is made of small letters, digits and _"
[ -d "$parent" ] && parent=$(CDPATH='' cd -- "$parent" && pwd)
egs=$(dirname -- "$template")
[ "$parent" = "$egs" ] || fail "$1: recipes lie next to the template; give $egs/$name"
folder=$egs/$name
[ ! -e "$folder" ] || fail "$folder: is there already; choose another name or remove it"

variable=${name^^}
new=$egs/.$name.new$$
trap 'rm -rf -- "$new"' EXIT
mkdir -p "$new/local"
for file in run.sh README.md local/prepare.py; do
    sed -e "s/mycorpus/$name/g" -e "s/MYCORPUS/$variable/g" "$template/recipe/$file" >"$new/$file"
done
chmod +x "$new/run.sh" "$new/local/prepare.py"
mv -- "$new" "$folder"

cat <<END
$folder is made. Now
 1. local/prepare.py: fill in what is marked TODO (about a hundred lines with the helpers of m4ser.recipes)
 2. $template/db.local.sh: the folder of the corpus, $variable=DIR, or give --corpus-dir
 3. try it: cd $folder && ./run.sh --stop-stage 0, then ./run.sh
 4. conf/recipe.yaml, if the corpus needs other settings than $template/conf, see docs/configurations.md
 5. README.md: licence, where to get the corpus, protocol, expected counts
END
