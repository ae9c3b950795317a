// SPDX-License-Identifier: Apache-2.0
#include "build/annotation.h"

#include "base/own.h"

#define MANIFEST "manifest:"

static struct sv without_place(const char *text)
{
    struct sv v = sv_of(text);
    return sv_starts(v, MANIFEST) ? sv_from(v, sizeof MANIFEST - 1) : v;
}

// BuildKit's other places, alone or with a platform: there is one manifest here and no index.
static bool elsewhere(struct sv v)
{
    static const char *const places[] = {"index", "manifest-descriptor", "index-descriptor", "manifest["};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct sv rest = v, place = sv_cut(&rest, ':');
        if (rest.p && sv_find(place, '=') < 0 && sv_starts(place, places[i])) return true;
    }
    return false;
}

int build_annotation_check(const struct build_options *opt, struct err *e)
{
    for (size_t i = 0; opt->annotations && i < opt->annotations->n; i++) {
        const char *text = opt->annotations->p[i];
        struct sv value = without_place(text);
        if (elsewhere(value)) {
            err_set(e, ERR_USAGE, "--annotation '%s' is not for the manifest", text);
            return err_hint(e, "an image has one manifest and no index: leave out what is before the key");
        }
        struct sv key = sv_cut(&value, '=');
        if (key.n && value.p) continue;
        err_set(e, ERR_USAGE, "invalid --annotation '%s'", text);
        return err_hint(e, "it is KEY=VALUE, as in org.opencontainers.image.source=https://example.org/x");
    }
    return 0;
}

void build_annotation_add(const struct build_options *opt, struct codec_json **notes)
{
    for (size_t i = 0; opt->annotations && i < opt->annotations->n; i++) {
        struct sv value = without_place(opt->annotations->p[i]), key = sv_cut(&value, '=');
        own(free) char *name = sv_dup(key);
        if (!*notes) *notes = codec_json_new_object();
        codec_json_set(*notes, name, codec_json_new_text(value));
    }
}
