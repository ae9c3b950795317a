# SPDX-License-Identifier: Apache-2.0
# A short front: the build itself is meson's, each target is one script.
PREFIX ?= /usr/local
export DESTDIR

all:            ; @tools/deps build && tools/build
demo:           ; @tools/demo
check:          ; @tools/deps --try check && tests/run-all
check-faults:   ; @tools/deps check && tests/run-all --only faults --full
check-cgroup2:  ; @tools/deps guest && tests/guest/check
check-oci:      ; @tools/deps oci && tools/build && tests/oci/check
check-arm64:    ; @tools/deps arm64 && tests/arm64/check
bench:          ; @tools/deps bench && bench/run
install:        ; @tools/deps build && tools/build --install --prefix "$(PREFIX)"
lint-deep:      ; @tools/deps deep && tools/lint-deep
clean:          ; rm -rf build build-*

.PHONY: all demo check check-faults check-cgroup2 check-oci check-arm64 bench install lint-deep clean
