# SPDX-License-Identifier: Apache-2.0
# Layer archives as bytes: names, links, whiteouts, attributes, bombs and broken archives. The tables
# are in tests/tools/forge.py, each with its legal twins; layer-apply is the store's unpacker alone.
load ../e2e/helpers

NO_IMAGE=1

forge() {
    local apply=${TOOLS:-$TESTS_DIR/../build/tests/tools}/layer-apply
    need_program python3
    [ -x "$apply" ] || skip "needs the test program layer-apply"
    python3 "$TESTS_DIR/tools/forge.py" run "$1" "$apply" "$BATS_TEST_TMPDIR/forge"
    remove_tree "$BATS_TEST_TMPDIR/forge"
}

@test "names in a layer cannot lead out of it" { forge names; }
@test "links and dots that stay inside a layer work" { forge names-legal; }
@test "hard links cannot reach files outside a layer" { forge links; }
@test "hard links inside a layer and to lower layers work" { forge links-legal; }
@test "whiteouts of nothing, with children and through links are refused" { forge whiteouts; }
@test "whiteouts and opaque marks hide lower layers only, wherever they stand" { forge whiteouts-legal; }
@test "attributes of other machines and of overlayfs do not enter" { forge attributes; }
@test "user attributes and capabilities are kept" { forge attributes-legal; }
@test "broken archives are refused and leave nothing behind" { forge broken; }
@test "bombs are cut off" { forge bombs; }
@test "odd but legal archives are read" { forge bombs-legal; }
@test "random layers look as a model of layers says" { forge model; }
@test "unpacking does not depend on the umask" { FORGE_UMASK=077 forge names-legal; }

# Folders, four thousand names again and again: files would be as many inodes, which a kernel that is
# busy frees late.
entries() {
    python3 - "$1" <<'END'
import io, sys, tarfile
block = io.BytesIO()
with tarfile.open(fileobj=block, mode="w") as t:
    for i in range(4000):
        entry = tarfile.TarInfo(f"d/{i}")
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        t.addfile(entry)
n, block = int(sys.argv[1]), block.getvalue()[: 4000 * 512]
try:
    for at in range(0, n, 4000):
        sys.stdout.buffer.write(block[: min(4000, n - at) * 512])
    sys.stdout.buffer.write(bytes(1024))
except BrokenPipeError:
    pass
END
}
@test "B5: very many entries take little memory, and there is an end to them" {
    entries 30000 >many.tar
    (ulimit -v 300000 && dewar image import - many:1 <many.tar)
    same 4000 "$(find "$DEWAR_STORE/layers" -path '*/fs/d/*' | wc -l)"
    dewar rmi many:1 >/dev/null
    [ -n "${FULL:-}" ] || return 0
    entries 20000001 | (ulimit -v 300000 && dewar image import - many:2) 2>err && return 1
    grep 'more than 20000000 entries' err
    store_is_clean
}
