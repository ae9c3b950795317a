// SPDX-License-Identifier: Apache-2.0
// --chmod: octal, or symbolic clauses as chmod(1) has them. The process's umask plays no part: a
// clause without u, g, o or a means a.
#include <sys/stat.h>

#include "base/num.h"
#include "build/instr.h"

enum { WHO_U = 1, WHO_G = 2, WHO_O = 4 };

struct clause {
    unsigned who;
    char op;
    uint32_t rwx;  // 0..7, as for one class
    bool x_if, set_id, sticky;
    uint32_t copy_from;  // 'u', 'g', 'o' or 0
};

static int bad(const char *text, struct err *e)
{
    err_set(e, ERR_INPUT, "'%s' is no file mode", text);
    return err_hint(e, "write an octal number up to 7777, or clauses such as u+x,go-w");
}

static bool read_who(struct sv *v, struct clause *c)
{
    for (; v->n > 0; *v = sv_from(*v, 1)) {
        if (v->p[0] == 'u') c->who |= WHO_U;
        else if (v->p[0] == 'g') c->who |= WHO_G;
        else if (v->p[0] == 'o') c->who |= WHO_O;
        else if (v->p[0] == 'a') c->who |= WHO_U | WHO_G | WHO_O;
        else return true;
    }
    return false;
}

// "+rwX": operator and permissions.
static bool read_action(struct sv *v, struct clause *c)
{
    if (v->n == 0 || !strchr("+-=", v->p[0])) return false;
    c->op = v->p[0];
    *v = sv_from(*v, 1);
    for (bool first = true; v->n > 0 && !strchr("+-=", v->p[0]); first = false) {
        char p = v->p[0];
        if (p == 'r') c->rwx |= 4;
        else if (p == 'w') c->rwx |= 2;
        else if (p == 'x') c->rwx |= 1;
        else if (p == 'X') c->x_if = true;
        else if (p == 's') c->set_id = true;
        else if (p == 't') c->sticky = true;
        else if (first && (p == 'u' || p == 'g' || p == 'o')) c->copy_from = (unsigned char)p;
        else return false;
        *v = sv_from(*v, 1);
        if (c->copy_from) return v->n == 0 || strchr("+-=", v->p[0]);
    }
    return true;
}

static uint32_t apply(const struct clause *c, uint32_t mode)
{
    unsigned who = c->who ? c->who : WHO_U | WHO_G | WHO_O;
    uint32_t rwx = c->rwx, bits = 0, mask = 0;
    if (c->copy_from) rwx = (mode >> (c->copy_from == 'u' ? 6 : c->copy_from == 'g' ? 3 : 0)) & 7;
    if (c->x_if && (S_ISDIR(mode) || (mode & 0111))) rwx |= 1;
    if (who & WHO_U) bits |= rwx << 6, mask |= 04700;
    if (who & WHO_G) bits |= rwx << 3, mask |= 02070;
    if (who & WHO_O) bits |= rwx, mask |= 0007;
    if (!c->who || (c->who & WHO_O)) mask |= 01000;
    if (c->set_id) bits |= (who & WHO_U ? 04000u : 0) | (who & WHO_G ? 02000u : 0);
    if (c->sticky) bits |= 01000;
    if (c->op == '+') return mode | bits;
    if (c->op == '-') return mode & ~bits;
    if (S_ISDIR(mode)) mask &= ~06000u | bits;  // as chmod(1): '=' keeps a folder's set-id bits
    return (mode & ~mask) | bits;
}

static bool symbolic(struct sv text, uint32_t *mode)
{
    for (struct sv rest = text; rest.p;) {
        struct sv one = sv_cut(&rest, ',');
        struct clause c = {0};
        if (!read_who(&one, &c)) return false;
        do {
            struct clause now = {.who = c.who};
            if (!read_action(&one, &now)) return false;
            *mode = apply(&now, *mode);
        } while (one.n > 0);
    }
    return true;
}

int build_chmod_apply(const char *chmod, uint32_t mode, uint32_t *out, struct err *e)
{
    uint32_t m = mode;
    if (*chmod >= '0' && *chmod <= '9') {
        if (!num_octal(sv_of(chmod), 07777, out)) return bad(chmod, e);
        return 0;
    }
    if (!symbolic(sv_of(chmod), &m)) return bad(chmod, e);
    *out = m & 07777;
    return 0;
}
