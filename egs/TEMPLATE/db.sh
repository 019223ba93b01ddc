# shellcheck shell=bash
# Sourced by ser.sh: where the corpora are on this machine, one variable for each recipe, named as its folder in capitals
# (egs/ravdess: RAVDESS). Write the folders of the official layouts into db.local.sh beside this file, which git ignores,
# one line for each corpus:
#
#   RAVDESS=${RAVDESS:-/corpora/RAVDESS}
#
# or set the variable in the environment, which then has precedence, or give --corpus-dir. Free corpora can be fetched:
# ./run.sh --download true.

db_local=$(dirname -- "${BASH_SOURCE[0]}")/db.local.sh
if [ -f "$db_local" ]; then
    set -a # what it sets is for the programs of the stages
    # shellcheck source=/dev/null
    . "$db_local"
    set +a
fi
