# SPDX-License-Identifier: Apache-2.0
# Images go to other programs and come back as the same: the image ID and the layers' digests are equal
# after the round. A program that is not here is a skip.
load helpers

file_setup() {
    mkdir -p "$BATS_FILE_TMPDIR/ctx"
    cd "$BATS_FILE_TMPDIR/ctx" || return
    printf 'text\n' >f
    cat >Dockerfile <<'EOF'
FROM busybox:test
COPY --chown=5:6 --chmod=4750 f /own/f
RUN rm /etc/group && mkdir /d && echo x >/d/x && ln /d/x /d/hard && ln -s x /d/soft
RUN rm -r /d && mkdir /d && echo y >/d/y
ENV A="b c" EMPTY=
LABEL k=v
EXPOSE 80/udp
VOLUME /vol
STOPSIGNAL SIGINT
HEALTHCHECK --interval=3s CMD true
SHELL ["/bin/sh", "-ec"]
USER 1000
WORKDIR /w
CMD ["cat", "/own/f"]
EOF
    dewar build -q -t x/out:1 . >/dev/null
    dewar tag "$IMG" x/base:2
}
file_teardown() {
    local pid=$BATS_FILE_TMPDIR/docker.pid
    [ ! -e "$pid" ] || { kill "$(cat "$pid")" && while [ -e "$pid" ]; do sleep 0.1; done; }
}

other() {
    local store=$WORK/$1
    shift
    DEWAR_STORE=$store/store DEWAR_RUN=$store/run dewar "$@"
}
layers_of() { "$@" inspect --format '{{json .RootFS.Layers}}' x/out:1; }
# The image that came back into the store $1 is the one that went.
came_back() {
    same "$(other "$1" inspect --format '{{.Id}}' "${2:-x/out:1}")" "$(image_id x/out:1)"
    same "$(other "$1" inspect --format '{{json .RootFS.Layers}}' "${2:-x/out:1}")" "$(layers_of dewar)"
    other "$1" system check >/dev/null
}

# A Docker daemon of our own, for all tests of this file.
docker_here() {
    need_root
    need_program dockerd docker.io
    need_program docker docker-cli
    local dir=$BATS_FILE_TMPDIR i
    export DOCKER_HOST=unix://$dir/docker.sock
    if [ ! -e "$dir/docker.pid" ]; then
        echo "{}" >"$dir/none.json"
        dockerd --storage-driver overlay2 --data-root "$dir/docker" --exec-root "$dir/dockerexec" \
            -H "$DOCKER_HOST" --pidfile "$dir/docker.pid" --bridge none --iptables=false \
            --config-file "$dir/none.json" >"$dir/dockerd.log" 2>&1 3>&- &
    fi
    for ((i = 0; i < 150; i++)); do
        docker version >/dev/null 2>&1 && return
        sleep 0.1
    done
    skip "dockerd does not start here: $(tail -1 "$dir/dockerd.log")"
}

@test "docker loads what save wrote and saves what load reads" {
    docker_here
    dewar save -o out.tar x/out:1 x/base:2
    docker load -q -i out.tar
    same "$(docker image inspect --format '{{.Id}}' x/out:1)" "$(image_id x/out:1)"
    same "$(layers_of docker image)" "$(layers_of dewar)"
    docker save -o back.tar x/out:1 x/base:2
    other s1 load -q -i back.tar
    came_back s1
    same "$(other s1 inspect --format '{{.Id}}' x/base:2)" "$(image_id "$IMG")"
    docker save x/out:1 | other s2 load -q
    came_back s2
    docker rmi x/out:1 x/base:2 >/dev/null
    dewar save --compress gzip x/out:1 | docker load -q # layers in several members
    same "$(docker image inspect --format '{{.Id}}' x/out:1)" "$(image_id x/out:1)"
    docker rmi x/out:1 >/dev/null
}

@test "docker's image inspect says the same of the image" {
    docker_here
    dewar save x/out:1 | docker load -q
    local field
    for field in .Id .RepoTags .Created .Architecture .Os .Author .RootFS.Type .RootFS.Layers \
        .Config.User .Config.Env .Config.Cmd .Config.Entrypoint .Config.Labels .Config.Volumes \
        .Config.WorkingDir .Config.ExposedPorts .Config.Healthcheck .Config.StopSignal .Config.Shell; do
        same "$field $(dewar image inspect --format "{{json $field}}" x/out:1)" \
            "$field $(docker image inspect --format "{{json $field}}" x/out:1)"
    done
    same "$(dewar history --no-trunc --format '{{.CreatedBy}}|{{.Comment}}' x/out:1)" \
        "$(docker history --no-trunc --format '{{.CreatedBy}}|{{.Comment}}' x/out:1)"
    same "$(dewar images --format '{{.Repository}} {{.Tag}} {{.ID}}' x/out)" \
        "$(docker images --format '{{.Repository}} {{.Tag}} {{.ID}}' x/out)"
    docker rmi x/out:1 >/dev/null
}

@test "what docker exports, image import reads" {
    docker_here
    dewar save x/out:1 | docker load -q
    docker create --name box x/out:1 >/dev/null
    docker export box | dewar image import - exported:1
    docker rm box >/dev/null
    docker rmi x/out:1 >/dev/null
    same "$(dewar run --rm --network none exported:1 /bin/sh -c 'cat /own/f /d/y; ls -n /own/f; ls /d /bin')" \
        "$(dewar run --rm --network none --user 0 x/out:1 /bin/sh -c 'cat /own/f /d/y; ls -n /own/f; ls /d /bin')"
}

@test "podman loads what save wrote and saves what load reads" {
    need_root
    need_program podman
    local f prun
    prun=$(mktemp -d /tmp/p.XXXXXX) # podman takes no longer one than 50 characters
    local p=(podman --root "$WORK/p" --runroot "$prun" --storage-driver vfs --tmpdir "$WORK/ptmp")
    dewar save -o out.tar x/out:1
    "${p[@]}" load -q -i out.tar
    same "sha256:$("${p[@]}" image inspect --format '{{.Id}}' docker.io/x/out:1)" "$(image_id x/out:1)"
    for f in docker-archive oci-archive; do
        "${p[@]}" save -q --format $f -o $f.tar docker.io/x/out:1
        other $f load -q -i $f.tar
        same "$(other $f inspect --format '{{json .RootFS.Layers}}' x/out:1)" "$(layers_of dewar)"
        other $f system check >/dev/null
    done
    came_back docker-archive
    "${p[@]}" rmi -af >/dev/null
    dewar save --format oci-archive -o oci.tar x/out:1
    "${p[@]}" load -q -i oci.tar
    same "sha256:$("${p[@]}" images -q --no-trunc | sed 's/^sha256://')" "$(image_id x/out:1)"
    "${p[@]}" rmi -af >/dev/null
    rm -rf "$prun"
}

@test "skopeo copies from and to every kind of archive" {
    need_program skopeo
    local c s=(skopeo --insecure-policy --tmpdir "$WORK" copy -q)
    dewar save -o out.tar x/out:1 x/base:2
    dewar save --format oci-archive -o oci.tar x/out:1
    dewar save --format oci-dir -o oci x/out:1
    "${s[@]}" docker-archive:out.tar:x/out:1 docker-archive:a.tar:x/out:1
    other a load -q -i a.tar
    came_back a
    "${s[@]}" oci-archive:oci.tar oci-archive:b.tar:x/out:1
    other b load -q -i b.tar
    came_back b
    "${s[@]}" oci:oci:1 oci:c:x/out:1
    other c load -q -i c
    came_back c
    for c in gzip zstd; do
        "${s[@]}" --dest-compress --dest-compress-format $c oci:oci:1 oci-archive:$c.tar:x/out:1
        other $c load -q -i $c.tar
        came_back $c
        dewar save --compress $c --format oci-dir -o oci-$c x/out:1
        "${s[@]}" oci:oci-$c:1 oci:back-$c:x/out:1
        other d$c load -q -i back-$c
        came_back d$c
    done
}

@test "umoci unpacks what save wrote, and its image loads" {
    need_root
    need_program umoci
    dewar save --format oci-dir -o oci x/out:1
    umoci unpack --image oci:1 bundle
    same "$(cat bundle/rootfs/own/f bundle/rootfs/d/y)" $'text\ny'
    same "$(stat -c '%a %u %g' bundle/rootfs/own/f)" "4750 5 6"
    [ ! -e bundle/rootfs/etc/group ] && [ ! -e bundle/rootfs/d/x ] || return 1
    rm bundle/rootfs/d/y && echo z >bundle/rootfs/d/z
    umoci repack --image oci:two bundle
    other s1 load -q -i oci
    came_back s1 "$(image_id x/out:1)"
    local two
    two=$(other s1 images -q --no-trunc | grep -v "$(image_id x/out:1)")
    same "$(other s1 run --rm --network none "$two" ls /d)" z
}

@test "skopeo finds what build -o writes by the tag, as BuildKit's, and what image copy writes by name and tag" {
    need_program skopeo
    mkdir c && printf 'FROM busybox:test\nCMD ["x"]\n' >c/Dockerfile
    dewar build -q -t foo:1 -t r.example.org/a/b:two -o type=oci,dest=build.tar -o type=docker,dest=docker.tar c
    dewar save --format oci-archive -o save.tar foo:1
    dewar image copy foo:1 oci-archive:copy.tar:foo:1
    dewar image copy foo:1 oci:layout:foo:1
    for place in oci-archive:build.tar:1 oci-archive:build.tar:two oci-archive:save.tar:1 oci-archive:save.tar oci-archive:copy.tar:foo:1 \
        oci:layout:foo:1 docker-archive:docker.tar:foo:1 docker-archive:docker.tar:r.example.org/a/b:two; do
        run -0 env XDG_RUNTIME_DIR="$HOME" skopeo inspect --config --raw "$place"
        same "sha256:$(printf %s "$output" | sha256sum | cut -c1-64)" "$(image_id foo:1)" || { echo "$place"; return 1; }
    done
    dewar rmi foo:1 r.example.org/a/b:two >/dev/null
}
