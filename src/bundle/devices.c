// SPDX-License-Identifier: Apache-2.0
// linux.resources.devices as rules; what they become is sandbox/device_rule.c's.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "bundle/internal.h"
#include "codec/json.h"

// A rule whose number is in quotes would be one for all numbers: so types are checked.
struct row {
    char *type, *access;
    int64_t major, minor;
    bool allow;
};
static const struct codec_field rows[] = {
    {"type", CODEC_FIELD_TEXT, offsetof(struct row, type), false},
    {"access", CODEC_FIELD_TEXT, offsetof(struct row, access), false},
    {"major", CODEC_FIELD_INT, offsetof(struct row, major), false},
    {"minor", CODEC_FIELD_INT, offsetof(struct row, minor), false},
    {"allow", CODEC_FIELD_BOOL, offsetof(struct row, allow), true}};

static int make_rule(const struct row *row, struct sandbox_device_rule *out, struct err *e)
{
    struct sv type = sv_of(row->type && row->type[0] ? row->type : "a");
    struct sv access = sv_of(row->access && row->access[0] ? row->access : "rwm");
    *out = (struct sandbox_device_rule){.allow = row->allow,
                                        .type = type.p[0],
                                        .major = row->major < 0 ? -1 : row->major,
                                        .minor = row->minor < 0 ? -1 : row->minor};
    if (!sandbox_device_rule_access(access, &out->access) || type.n > 1 ||
        !memchr("abc", out->type, 3) || out->major > INT32_MAX || out->minor > INT32_MAX)
        return err_set(e, ERR_INPUT, "a rule that cannot be used");
    return 0;
}

int bundle_devices_read(const struct codec_json *list, struct sandbox_device_rules *out,
                        struct err *e)
{
    for (size_t i = 0; i < codec_json_len(list); i++) {
        struct row row = {.major = -1, .minor = -1};
        struct sandbox_device_rule r;
        int rc = codec_json_decode(codec_json_at(list, i), "linux.resources.devices", rows,
                                   sizeof rows / sizeof *rows, &row, e);
        if (rc == 0 && make_rule(&row, &r, e) < 0)
            rc = err_wrap(e, "linux.resources.devices[%zu]", i);
        free(row.type);
        free(row.access);
        if (rc < 0) return -1;
        vec_push(out, r);
    }
    return 0;
}
