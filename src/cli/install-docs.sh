#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the manual pages and shell completions, which the program itself prints from its tables.
# Called by `meson install` with the program, the folder of manuals and that of shared data.
set -eu
program=$1
man=${DESTDIR-}$2/man1
data=${DESTDIR-}$3

if ! "$program" help --man-list >/dev/null 2>&1; then
    echo "the program does not run on this machine: manual pages and completions are left out" >&2
    exit 0
fi
umask 022
mkdir -p "$man" "$data/bash-completion/completions" "$data/zsh/site-functions" \
    "$data/fish/vendor_completions.d"
"$program" help --man-list | while read -r page words; do
    # shellcheck disable=SC2086 # the words of a command: "image import"
    "$program" help --man $words >"$man/$page.1"
done
"$program" completion bash >"$data/bash-completion/completions/dewar"
"$program" completion zsh >"$data/zsh/site-functions/_dewar"
"$program" completion fish >"$data/fish/vendor_completions.d/dewar.fish"
