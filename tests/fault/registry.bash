# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the cases about registries share: a docker-registry that lives as long as the sweep, and an
# image in it, $NAME.
TESTS_DIR=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
BATS_TEST_TMPDIR=$WORK BATS_FILE_TMPDIR=$WORK
# shellcheck source=tests/e2e/registry.bash
source "$TESTS_DIR/e2e/registry.bash"
need_program() { command -v "$1" >/dev/null || { echo "the program $1 is missing" >&2; return 1; }; }
# start_registry OWNER: `here` makes it known to the later shells of a case.
start_registry() {
    mkdir "$WORK/registry"
    "$TESTS_DIR/tools/registry" start "$WORK/registry" --owner "$1" >"$WORK/registry.env"
    here
    registry_seed a/b:latest
}
here() {
    # shellcheck source=/dev/null
    source "$WORK/registry.env"
    NAME=$REGISTRY/a/b:latest
    DATA=$REGISTRY_DIR/data
}
