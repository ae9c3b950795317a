# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,registry
# Registries that break, lie and lead astray. The rows are tables in tests/tools/regrows.py; a row of
# the matrix is one fault met by five kinds of request. What each cell looks at is said in
# tests/tools/regmatrix.py; they run side by side before the first test, which then asks row by row.
load ../e2e/helpers
load ../e2e/registry
NO_IMAGE=1

matrix() { "$TESTS_DIR/tools/regmatrix.py" "$@"; }
file_setup() {
    need_program openssl openssl
    registry_layout "$BATS_FILE_TMPDIR/layout"
    # What is wrong is told by the tests below.
    matrix run "$BATS_FILE_TMPDIR/matrix" "$BATS_FILE_TMPDIR/layout" \
        matrix documents blobs tokens uploads connections "chance:${SEED:-1}:40" >"$BATS_FILE_TMPDIR/summary" 2>&1 || true
}
rows() {
    local row bad=0 file
    for row in "$@"; do
        file=$BATS_FILE_TMPDIR/matrix/$row
        grep -q '^ok ' "$file" && ! grep -q '^not ok ' "$file" && continue
        bad=1
        echo "$row:" >&2
        cut -c1-1500 "$file" >&2 || true
    done
    return "$bad"
}

# --- the matrix: each fault x manifest, blob, token, upload, manifest push -------------------------------
@test "a server error that passes is healed; one that stays is an error" {
    rows 500-once 502-once 503-once 500-always 503-always
}
@test "a registry that asks for patience gets it, within bounds" {
    rows 503-retry-after 429-once 429-retry-after 429-date 429-always 429-tomorrow
}
@test "C1: refusals end at once and say so" { rows 401-always 401-no-challenge 403 404; }
@test "connections that end early are tried again, a bounded number of times" {
    rows hangup-once hangup-always reset-once reset-always
}
@test "answers that end early are tried again, a bounded number of times" {
    rows truncated-once truncated-always
}
@test "C4: answers that stall, drip or never end come to an end" { rows stall one-byte-a-second endless; }
@test "B6: wrong and empty bytes are never taken" { rows wrong-bytes empty; }
@test "C4: headers have a cap; large ones below it work" { rows header-100k headers-10k header-8k; }
@test "C2: redirects that loop, lose encryption or leave the web are refused" {
    rows redirect-loop redirect-plain redirect-file redirect-link-local redirect-nowhere
}
@test "C1: a redirect to another host works and takes no credentials along" { rows redirect-elsewhere; }
@test "the forms of HTTP that servers use: chunks, no length and no keep-alive" { rows chunked http10; }
@test "an encoding that nobody asked for is no content" { rows gzip; }
@test "C4: lengths that cannot be are errors" { rows length-negative length-huge; }
@test "what is not HTTP is an error" { rows not-http; }
@test "F5: what a registry says cannot steer the terminal, and is cut short" {
    rows 418-with-escapes error-body-2m
}

# --- documents ------------------------------------------------------------------------------------------
@test "C4: sizes in a manifest are held to their word" {
    rows size-minus-1 size-0 size-smaller size-larger 'size-2^63-1' 'size-2^63' size-1e3 size-text \
        config-smaller config-5m
}
@test "B6: a document that two readers may read in two ways is refused" {
    rows both-kinds neither-kind duplicate-key duplicate-layers bom other-type text-type \
        lying-digest-header
}
@test "B6: type parameters are no other type" { rows type-with-words; }
@test "C4: large and deep documents are refused; 3 MiB work" {
    rows depth-10k spaces-5m spaces-3m 10k-layers
}
@test "what is no manifest is named as such" { rows not-json array null schema-1; }
@test "B7: a digest of bad grammar goes nowhere" {
    rows digest-up digest-upper digest-short digest-long digest-empty digest-bare digest-b64u \
        digest-md5 digest-nul digest-slash digest-number digest-null config-digest-up
}
@test "C1: addresses in descriptors are never asked" { rows urls urls-alone; }
@test "indexes: in one another, deep, wide, and without us" {
    rows index-in-index index-100-deep index-of-others index-of-10k index-of-many
}
@test "B6: a name with a digest gets those bytes or none" { rows by-digest by-digest-other-bytes; }
@test "an image whose parts contradict each other is not published" {
    rows config-not-json config-wrong-diff-id config-missing-diff-id layer-not-gzip layer-cut-gzip
}

# --- blobs ----------------------------------------------------------------------------------------------
@test "a broken download goes on where it was: no byte is fetched twice" { rows resume; }
@test "a download may break at the first and the last byte, and often" {
    rows first-byte last-byte resume-three-times
}
@test "a registry that ignores or garbles ranges does not spoil a download" {
    rows resume-range-ignored resume-wrong-range resume-no-range-said resume-other-total resume-416 \
        resume-other-bytes
}
@test "C4: a blob has the size that was said" {
    rows bytes-too-many bytes-too-few endless-with-length endless-till-closed
}
@test "redirects of all kinds work, ten in a row, and eleven do not" {
    rows redirect-301 redirect-302 redirect-303 redirect-308 redirect-10 redirect-11
}
@test "C2: redirects to odd places are refused" {
    rows redirect-with-user redirect-nonsense redirect-unix redirect-gopher redirect-nobody
}

# --- tokens ---------------------------------------------------------------------------------------------
@test "C4: a token that is large, no token or not taken is an error" {
    rows token-2m token-garbage token-missing token-empty token-number token-64k token-not-taken
}
@test "C1: a token cannot bring headers of its own" { rows token-newline; }
@test "tokens in all forms that servers use" {
    rows token-access-token token-expires-0 token-expires--1 token-expires-99999999999 \
        token-expires-1.5 token-expired-amid basic two-challenges
}
@test "C1: an identity token goes to the first token server alone; cookies go nowhere" {
    rows identity-token identity-token-led-away cookies
}
@test "C1: a realm on another encrypted host is asked" { rows realm-other-host realm-with-query; }
@test "C1: a realm without encryption, within the machine or without sense is not asked" {
    rows realm-plain realm-file realm-link-local realm-with-user realm-empty
}

# --- uploads --------------------------------------------------------------------------------------------
@test "C1: an upload goes where the registry says, without credentials elsewhere" {
    rows location-absolute location-elsewhere
}
@test "C1: an upload does not go where it must not" {
    rows location-plain location-file location-link-local location-missing
}
@test "uploads whose registry loses count" { 
    rows range-says-less range-says-more 416-once 416-put-once 416-always
}
@test "each step of an upload may fail once" {
    rows post-503-once post-429-once post-hangup-once post-cut-once put-503-once put-429-once \
        put-hangup-once put-cut-once put-answer-lost
}
@test "a registry that takes only small parts, or no parts, can be pushed to" {
    rows 413-large-parts patch-405
}
@test "uploads that are refused say why" { rows 413 last-202 manifest-blob-unknown upload-stalls-amid; }
@test "a registry that answers no question about blobs can be pushed to" { rows head-405 head-500-once; }

# --- the connection -------------------------------------------------------------------------------------
@test "C3: certificates of others, expired and self-made are refused, with no second try in plain" {
    rows tls-other-name tls-expired tls-self-signed tls-no-handshake blob-host-tls-expired
}
@test "C3: what a person allows works: any certificate by flag, plain HTTP on loopback" {
    rows tls-self-signed-allowed plain-on-loopback
}

@test "C2: a public registry cannot send us into this machine" {
    need_root # to be a public host in a network of its own
    need_program ip iproute2
    need_kernel "network namespace" unshare -n true
    unshare -n sh -c 'ip link set lo up && ip address add 203.0.113.7/32 dev lo && exec "$@"' sh \
        "$TESTS_DIR/tools/regmatrix.py" run "$BATS_FILE_TMPDIR/matrix" "$BATS_FILE_TMPDIR/layout" \
        inward >"$WORK/summary" 2>&1 || true
    cat "$WORK/summary"
    # shellcheck disable=SC2046
    rows $(matrix list inward)
}

@test "several faults at once, by chance: all is whole, or one error" {
    echo "seed ${SEED:-1}" >&2
    # shellcheck disable=SC2046
    rows $(printf 'chance-%d ' {0..39})
}

@test "every row is asked for" {
    local row
    for row in $(matrix list); do
        [[ $row == inward-* || $row == outward* ]] ||
            grep -qE "(rows|^  )[^#]* '?${row//^/\\^}'?( |;|$)" "$BATS_TEST_FILENAME" || { echo "$row" >&2; return 1; }
    done
    cat "$BATS_FILE_TMPDIR/summary" >&2
    grep -q ' 0 wrong' "$BATS_FILE_TMPDIR/summary"
}
