# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A build with a RUN, a COPY and a second stage.
prepare() {
    import_busybox
    mkdir -p ctx/data
    printf 'one\n' >ctx/data/a
    printf 'two\n' >ctx/data/b
    cat >ctx/Dockerfile <<'END'
FROM busybox:test AS first
COPY data /data
RUN cat /data/* > /both && rm /data/a
FROM busybox:test
COPY --from=first /both /both
CMD ["cat", "/both"]
END
}
operation() { op=("$DEWAR" build -q -t result:1 ctx); }
verify() { [ "$(dewar run --rm --network none result:1)" = "$(printf 'one\ntwo')" ]; }
undo() { dewar rmi result:1 >/dev/null && dewar builder prune -f >/dev/null && dewar system prune --force >/dev/null; }
