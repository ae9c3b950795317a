// SPDX-License-Identifier: Apache-2.0
// Limits for single disks. On v1 each kind is a file of its own, on v2 all rates are words of one.
// A disk is named by its numbers, so a limit is about whatever is at the path when a container
// starts. Parts of a disk have no limits of their own: the kernel refuses them.
#include "sandbox/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/vec.h"
#include "sandbox/cgroup_internal.h"

static const struct {
    const char *name;
    const char *v1[2]; // the second is that of the scheduler BFQ
    const char *v2;    // the word in io.max; NULL: a weight
} kinds[SANDBOX_DISK_COUNT] = {
    [SANDBOX_DISK_WEIGHT] = {"weight", {"blkio.weight_device", "blkio.bfq.weight_device"}, NULL},
    [SANDBOX_DISK_READ_BPS] = {"read-bps", {"blkio.throttle.read_bps_device"}, "rbps"},
    [SANDBOX_DISK_WRITE_BPS] = {"write-bps", {"blkio.throttle.write_bps_device"}, "wbps"},
    [SANDBOX_DISK_READ_IOPS] = {"read-iops", {"blkio.throttle.read_iops_device"}, "riops"},
    [SANDBOX_DISK_WRITE_IOPS] = {"write-iops", {"blkio.throttle.write_iops_device"}, "wiops"},
};

const char *sandbox_disk_name(enum sandbox_disk_kind kind)
{
    return (unsigned)kind < SANDBOX_DISK_COUNT ? kinds[kind].name : "?";
}

void sandbox_disk_fini(struct sandbox_disk_limits *v)
{
    vec_each (l, v) free(l->device);
    vec_fini(v);
}

static int wrong_value(enum sandbox_disk_kind kind, struct sv text, struct err *e)
{
    static const char *const forms[SANDBOX_DISK_COUNT] = {
        [SANDBOX_DISK_WEIGHT] = "DEVICE:N with N between 10 and 1000, as in /dev/sda:200",
        [SANDBOX_DISK_READ_BPS] = "DEVICE:BYTES a second, as in /dev/sda:1mb",
        [SANDBOX_DISK_WRITE_BPS] = "DEVICE:BYTES a second, as in /dev/sda:1mb",
        [SANDBOX_DISK_READ_IOPS] = "DEVICE:N operations a second, as in /dev/sda:100",
        [SANDBOX_DISK_WRITE_IOPS] = "DEVICE:N operations a second, as in /dev/sda:100",
    };
    err_set(e, ERR_USAGE, "invalid limit of a disk: '%.*s'", (int)text.n, text.p);
    return err_hint(e, "it is %s", forms[kind]);
}

int sandbox_disk_parse(const char *text, struct sandbox_disk_limit *out, struct err *e)
{
    struct sv rest = sv_of(text), name = sv_cut(&rest, '='), whole = rest;
    struct err ignored;
    int kind = 0;
    while (kind < SANDBOX_DISK_COUNT && !sv_eqz(name, kinds[kind].name)) kind++;
    if (kind == SANDBOX_DISK_COUNT || !rest.p)
        return err_set(e, ERR_INTERNAL, "'%s' is no limit of a disk", text);
    long colon = sv_rfind(rest, ':');
    struct sv device = colon < 0 ? SV("") : sv_part(rest, 0, (size_t)colon);
    struct sv value = colon < 0 ? SV("") : sv_from(rest, (size_t)colon + 1);
    bool bytes = kind == SANDBOX_DISK_READ_BPS || kind == SANDBOX_DISK_WRITE_BPS;
    bool ok = sv_starts(device, "/dev/") &&
              (bytes ? num_bytes(value, &out->value, &ignored) == 0 : num_u64(value, &out->value));
    if (kind == SANDBOX_DISK_WEIGHT) ok = ok && out->value >= 10 && out->value <= 1000;
    if (!ok || out->value == 0) return wrong_value((enum sandbox_disk_kind)kind, whole, e);
    out->kind = (enum sandbox_disk_kind)kind;
    out->device = sv_dup(device);
    return 0;
}

static int numbers_of(const char *device, char out[32], struct err *e)
{
    struct stat st;
    own(fd) int fd = fs_open(device, O_PATH, 0, e);
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) return err_sys(e, "look at '%s'", device);
    if (!S_ISBLK(st.st_mode)) return err_set(e, ERR_USAGE, "'%s' is not a disk", device);
    snprintf(out, 32, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
    return 0;
}

static int one(int dir, const struct sandbox_disk_limit *l, bool v2, struct err *e)
{
    static const char *const weights[] = {"io.bfq.weight", "io.weight"};
    const char *const *files = v2 ? weights : kinds[l->kind].v1;
    const char *word = v2 ? kinds[l->kind].v2 : NULL, *file = word ? "io.max" : NULL;
    char node[32], line[96];
    if (numbers_of(l->device, node, e) < 0) return -1;
    for (size_t i = 0; i < 2 && !file; i++)
        if (files[i] && fs_exists(dir, files[i])) file = files[i];
    if (!file) {
        err_set(e, ERR_UNSUPPORTED, "this kernel has no such limit for disks");
        return err_hint(e, "weights come with the I/O scheduler BFQ; leave the option out");
    }
    snprintf(line, sizeof line, "%s %s%s%llu", node, word ? word : "", word ? "=" : "",
             (unsigned long long)l->value);
    if (cgroup_put(dir, file, line, e) == 0) return 0;
    if (e->sys == ENODEV || e->sys == EINVAL)
        err_hint(e, "limits are for whole disks: not for parts of them, nor for what has no queue");
    return -1;
}

int sandbox_disk_apply(int dir, const struct sandbox_disk_limits *v, bool v2, struct err *e)
{
    vec_each (l, v)
        if (one(dir, l, v2, e) < 0)
            return err_wrap(e, "applying the %s limit of '%s'", kinds[l->kind].name, l->device);
    return 0;
}
