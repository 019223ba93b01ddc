#!/usr/bin/env bash
# Lint and test everything: ruff, import-linter, shellcheck, mypy, pytest. Further arguments go to pytest.
#   run_tests.sh --lint   the linters alone
#   run_tests.sh --fast   the fast tests alone: nothing is trained and no recipe is run
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/activate_python.sh
# Small tensors get slower when threads share them, and the tests already run in two processes.
export OMP_NUM_THREADS=1

# Every kept script of ours, with or without git.
scripts() {
    if git ls-files -z --error-unmatch tools/run_tests.sh > /dev/null 2>&1; then
        git ls-files -z -- '*.sh' .ci/run
    else
        find . -name '*.sh' -not -path './tools/venv/*' -print0
    fi
}

# All of them run even if one finds something.
lint() {
    local status=0
    ruff check . || status=1
    ruff format --check . || status=1
    lint-imports || status=1
    scripts | xargs -0 shellcheck || status=1
    mypy || status=1
    [ "$status" -eq 0 ] || echo "error: the linters found something, see above" >&2
    return "$status"
}

case "${1:-}" in
    --lint)
        lint
        exit
        ;;
    --fast)
        shift
        # Another process would import torch once more, which costs more time than it saves.
        exec python -m pytest -n 0 -m "not slow" "$@"
        ;;
esac
status=0
lint || status=1
# The tests come last, so that their count closes the output. In the order of the tree: the slowest file, whole recipes,
# must not be left to one process at the end.
python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@" || status=1
exit "$status"
