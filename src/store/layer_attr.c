// SPDX-License-Identifier: Apache-2.0
// Extended attributes of files in layers. An allow-list decides what enters and leaves: an image that
// could set overlay attributes would hide files of the layers below, and security labels or ACLs of
// another machine mean nothing here. Paths go through /proc/self/fd, with the l-calls, because a
// symlink or a fifo cannot be opened to reach its attributes.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/own.h"
#include "store/layer_internal.h"

#define CAP_V2_SIZE 20
#define CAP_V3_SIZE 24

struct attr_path {
    char z[300];
};

static void path_of(int parent, const char *name, struct attr_path *out)
{
    snprintf(out->z, sizeof out->z, "/proc/self/fd/%d/%s", parent, name);
}

const char *layer_overlay_prefix(const struct engine *en)
{
    return en->ids.mode == IDMAP_ROOT ? "trusted.overlay." : "user.overlay.";
}

int layer_set_opaque(const struct engine *en, int parent, const char *name, struct err *e)
{
    struct attr_path p;
    char key[40];
    path_of(parent, name, &p);
    snprintf(key, sizeof key, "%sopaque", layer_overlay_prefix(en));
    if (lsetxattr(p.z, key, "y", 1, 0) == 0) return 0;
    return err_sys(e, "set attribute '%s' of '%s'", key, name);
}

// overlayfs hides whiteouts from a listing only where layers are merged. A folder that one layer alone
// has is read as it is, whiteouts of nothing and all, and `rm -r` in a container then fails on a name
// that cannot be opened; unless the folder has an origin, which an empty value gives it.
int layer_set_origin(const struct engine *en, int parent, struct err *e)
{
    struct attr_path p;
    char key[40];
    path_of(parent, ".", &p);
    snprintf(key, sizeof key, "%sorigin", layer_overlay_prefix(en));
    if (lsetxattr(p.z, key, "", 0, XATTR_CREATE) == 0 || errno == EEXIST || errno == ENOTSUP) return 0;
    return err_sys(e, "set attribute '%s'", key);
}

bool layer_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_overlay(const char *name)
{
    return starts(name, "trusted.overlay.") || starts(name, "user.overlay.");
}

bool layer_attr_allowed(const char *name)
{
    if (strcmp(name, "security.capability") == 0) return true;
    return starts(name, "user.") && name[5] != '\0' && !is_overlay(name);
}

// File capabilities as archives hold them: revision 2, without the namespace's root id.
static size_t cap_to_v2(char *v, size_t n)
{
    if (n != CAP_V3_SIZE || v[3] != 3) return n;
    v[3] = 2;
    return CAP_V2_SIZE;
}

void layer_attrs_fini(struct layer_attrs *a)
{
    codec_xattrs_fini(&a->keep);
}

static int read_one(const struct attr_path *p, const char *key, struct layer_attrs *out,
                    struct err *e)
{
    own(free) char *value = mem_alloc(65536);
    ssize_t n = lgetxattr(p->z, key, value, 65536);
    if (n < 0) return errno == ENODATA ? 0 : err_sys(e, "read attribute '%s'", key);
    size_t len = (size_t)n;
    if (strcmp(key, "security.capability") == 0) len = cap_to_v2(value, len);
    codec_xattrs_set(&out->keep, key, value, len);
    return 0;
}

int layer_attrs_read(int parent, const char *name, bool strip, struct layer_attrs *out,
                     struct err *e)
{
    struct attr_path p;
    char small[1024];
    own(free) char *large = NULL;
    char *list = small;
    path_of(parent, name, &p);
    ssize_t n = llistxattr(p.z, small, sizeof small);
    if (n < 0 && errno == ERANGE) {
        list = large = mem_alloc(65536);
        n = llistxattr(p.z, large, 65536);
    }
    if (n < 0) return errno == ENOTSUP ? 0 : err_sys(e, "list attributes of '%s'", name);
    for (char *key = list; key < list + n; key += strlen(key) + 1) {
        if (is_overlay(key)) {
            if (strcmp(strrchr(key, '.'), ".opaque") == 0) {
                char v = 0;
                out->opaque |= lgetxattr(p.z, key, &v, 1) == 1 && v == 'y';
            } else if (strip) {
                lremovexattr(p.z, key);
            }
        } else if (layer_attr_allowed(key) && read_one(&p, key, out, e) < 0) {
            return err_wrap(e, "at '%s'", name);
        }
    }
    return 0;
}

int layer_attrs_write(int parent, const char *name, mode_t type, const struct codec_xattrs *x,
                      const char *label, struct err *e)
{
    struct attr_path p = {""};
    for (size_t i = 0; i < x->n; i++) {
        const struct codec_xattr *a = &x->p[i];
        if (!layer_attr_allowed(a->name)) continue;
        // Only files and folders can have user attributes; capabilities are for files.
        bool user = starts(a->name, "user.");
        if (!S_ISREG(type) && !(user && S_ISDIR(type))) continue;
        if (!p.z[0]) path_of(parent, name, &p);
        char cap[CAP_V3_SIZE];
        const char *value = a->value;
        size_t n = a->n;
        if (!user && n == CAP_V3_SIZE) {
            memcpy(cap, value, n);
            n = cap_to_v2(cap, n);
            value = cap;
        }
        if (lsetxattr(p.z, a->name, value, n, 0) == 0) continue;
        if (user && errno == ENOTSUP) continue;  // a store without user attributes: same as Docker
        if (!user && errno == EINVAL)
            return err_set(e, ERR_INPUT, "'%s' has file capabilities that are not valid", label);
        return err_sys(e, "set attribute '%s' of '%s'", a->name, label);
    }
    return 0;
}
