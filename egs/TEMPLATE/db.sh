# shellcheck shell=bash
# Sourced by ser.sh: where the corpora are on this machine, one variable for each recipe, named as its folder in
# capitals (egs/ravdess: RAVDESS). Fill in the folder of the official layout here, set the variable in the
# environment, or give --corpus-dir. Free corpora can be fetched: ./run.sh --download true.

export RAVDESS="${RAVDESS:-}"
export CREMA_D="${CREMA_D:-}"
export EMODB="${EMODB:-}"
export TESS="${TESS:-}"
export SAVEE="${SAVEE:-}"
export ESD="${ESD:-}"
export CSV="${CSV:-}"
export IEMOCAP="${IEMOCAP:-}"
export MELD="${MELD:-}"
export MSP_PODCAST="${MSP_PODCAST:-}"
export MSP_IMPROV="${MSP_IMPROV:-}"
export CMU_MOSEI="${CMU_MOSEI:-}"
