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
