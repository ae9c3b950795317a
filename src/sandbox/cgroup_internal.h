// SPDX-License-Identifier: Apache-2.0
// Between the parts of cgroup.c: cgroup_v2.c makes groups in the one tree, cgroup_running.c changes
// those of containers that run.
#pragma once

#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

#define CGROUP_TOP "/sys/fs/cgroup"
#define CGROUP_FREEZER "freezer"
#define CGROUP_CFS_PERIOD 100000

enum cgroup_controller {
    CGROUP_MEMORY,
    CGROUP_CPU,
    CGROUP_PIDS,
    CGROUP_CPUSET,
    CGROUP_DISK,
    CGROUP_DEVICES,
    CGROUP_CPUACCT, // v1 alone, and no limit of ours: it comes beside others
    CGROUP_CONTROLLERS
};
extern const char *const cgroup_names[CGROUP_CONTROLLERS]; // the kernel's
extern const char *const cgroup_flags[CGROUP_CONTROLLERS]; // ours, for messages

// --- cgroup.c and cgroup_v2.c, for cgroup_running.c
// -----------------------------------------------
unsigned cgroup_needs(const struct sandbox_spec *s, bool devices);
bool cgroup_is_v2(void);
int cgroup_put(int dir, const char *file, const char *value, struct err *e);
int cgroup_putn(int dir, const char *file, int64_t value, struct err *e);
int cgroup_missing(enum cgroup_controller c, bool v2, bool user, struct err *e);
void cgroup_own_path(const char *controller, struct str *out);
// The folder of a group in a controller's tree of v1, and of the one above it.
void cgroup_v1_path(const char *controller, const char *name, struct str *out, struct str *parent);
// The controllers that come along with what is needed, so that programs find their limits.
unsigned cgroup_v1_beside(unsigned need);
// Makes what of the folder above is missing. -1: errno.
int cgroup_v1_parents(const char *controller, const char *name);
// The weight, and the limits of single disks. Weights are there only where the kernel's disk
// scheduler (BFQ) or cost model has them.
int cgroup_disk(int dir, const struct sandbox_spec *s, bool v2, struct err *e);
int cgroup_v1_memory(int dir, const struct sandbox_spec *s, struct err *e);
int cgroup_v1_cpu(int dir, const struct sandbox_spec *s, struct err *e);
int cgroup_pids(int dir, const struct sandbox_spec *s, struct err *e);
int cgroup_v1_cpuset(int dir, const char *parent, const struct sandbox_spec *s, struct err *e);
int cgroup_v2_values(int dir, const struct sandbox_spec *s, struct err *e);
bool cgroup_v2_offers(const char *controller, bool user);
// The folder of a container's group, as its name tells.
void cgroup_v2_path(const char *name, bool user, struct str *out);
int cgroup_v2_enable_all(int parent, unsigned need, bool user, struct err *e);
// Makes a folder of this name below our home and makes the name the whole one.
int cgroup_v2_folder(struct engine *en, unsigned need, char *name, size_t size, struct err *e);

// --- cgroup.c and cgroup_v2.c
// ---------------------------------------------------------------------
int cgroup_v2_make(struct engine *en, const struct sandbox_spec *s, unsigned need,
                   const struct sandbox_device_rules *rules, struct sandbox_cgroup *out,
                   struct err *e);
const char *cgroup_name_of(enum cgroup_controller c, bool v2);
int64_t cgroup_cpu_period(const struct sandbox_spec *s);
// Microseconds a period; 0: no limit.
int64_t cgroup_cpu_quota(const struct sandbox_spec *s);
