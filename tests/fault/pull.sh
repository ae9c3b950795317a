# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Pulling an image of three layers.
# shellcheck source=tests/fault/registry.bash
source "$(dirname "${BASH_SOURCE[0]}")/registry.bash"
prepare() { start_registry $PPID; dewar system prune --force >/dev/null; }
operation() { here; op=("$DEWAR" pull -q "$NAME"); }
verify() { here; [ "$(dewar run --rm --network none "$NAME")" = one ]; }
undo() { here; dewar rmi "$NAME" >/dev/null && dewar system prune --all --force >/dev/null; }
