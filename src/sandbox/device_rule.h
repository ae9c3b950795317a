// SPDX-License-Identifier: Apache-2.0
// Which devices the processes of a control group may open and make.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct sandbox_device_rule {
    bool allow;
    char type;            // a b c
    int32_t access;       // BPF_DEVCG_ACC_*
    int64_t major, minor; // -1: any
};
struct sandbox_device_rules {
    struct sandbox_device_rule *p;
    size_t n, cap;
};
static inline void own_sandbox_device_rules(struct sandbox_device_rules *r)
{
    vec_fini(r);
}
// What every container may have, whatever the rules say.
extern const struct sandbox_device_rule sandbox_device_rule_always[];
extern const size_t sandbox_device_rule_always_n;
bool sandbox_device_rule_access(struct sv text, int32_t *out); // "rwm" or a part of it
// "c 1:3 rwm", as behind --device-cgroup-rule; the same text is what the files of v1 take.
int sandbox_device_rule_parse(const char *text, struct sandbox_device_rule *out, struct err *e);
void sandbox_device_rule_print(const struct sandbox_device_rule *r, struct str *out);
// On v1 a group has one default and exceptions to it, and gives up an exception only for a rule with
// just its numbers: the same rules with those that this takes, so that the last that matches decides.
// ERR_UNSUPPORTED: a part of an exception would go.
int sandbox_device_rule_v1(const struct sandbox_device_rules *in, struct sandbox_device_rules *out,
                           struct err *e);
// On v2: the rules, of which the last that matches decides, for a group given by its folder.
int sandbox_device_rule_attach(int group, const struct sandbox_device_rules *rules, struct err *e);
