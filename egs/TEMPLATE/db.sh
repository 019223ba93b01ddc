# shellcheck shell=bash
# Sourced by ser.sh: where the corpora are on this machine, one variable for each recipe, named as its folder in
# capitals (egs/ravdess: RAVDESS). Fill in the folder of the official layout here, set the variable in the
# environment, or give --corpus-dir. `downloads` means: the recipe fetches the corpus into its folder downloads/.

export RAVDESS="${RAVDESS:-}"
