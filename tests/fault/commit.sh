# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# An image of what a container has changed.
prepare() {
    import_busybox
    dewar run -q --name box --network none busybox:test sh -c 'mkdir /d; echo x >/d/x; rm /etc/group' 2>/dev/null
}
operation() { op=("$DEWAR" commit -m 'by hand' box result:1); }
verify() { [ "$(dewar run --rm -q --network none result:1 sh -c 'cat /d/x; ls /etc')" = "$(printf 'x\nhostname\nhosts\npasswd\nresolv.conf')" ]; }
# The image of a broken one that came that far has no name any more, where the next one was made in
# another second.
undo() { dewar rmi -f result:1 >/dev/null && dewar image prune -f >/dev/null; }
