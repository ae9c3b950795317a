// SPDX-License-Identifier: Apache-2.0
// Progress for programs: one JSON object a line. Output bytes that are not UTF-8 become U+FFFD.
#include "cli/internal.h"
#include "codec/json.h"

static void end_object(struct cli_render *r, struct codec_json *j)
{
    codec_json_print(j, &r->out);
    str_addc(&r->out, '\n');
    codec_json_free(j);
}

void cli_json_event(struct cli_render *r, const struct event *ev)
{
    struct cli_step *s = cli_render_note(r, ev, NULL);
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "kind", event_kind_name(ev->kind));
    codec_json_set(j, "elapsed_ns", codec_json_new_int(ev->time_ns - r->began_ns));
    if (s) codec_json_set(j, "step", codec_json_new_int(s->number));
    if (ev->name) codec_json_set_text(j, "name", ev->name);
    if (ev->kind == EVENT_LINE) codec_json_set(j, "stream", codec_json_new_int(ev->stream));
    if (ev->text.n) codec_json_set(j, "text", codec_json_new_text(ev->text));
    if (ev->kind == EVENT_PROGRESS) {
        codec_json_set(j, "done", codec_json_new_int((int64_t)ev->done));
        codec_json_set(j, "total", codec_json_new_int((int64_t)ev->total));
    }
    end_object(r, j);
}

void cli_json_end(struct cli_render *r, bool ok)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "kind", "end");
    codec_json_set(j, "elapsed_ns", codec_json_new_int(r->last_ns - r->began_ns));
    codec_json_set(j, "ok", codec_json_new_bool(ok));
    codec_json_set(j, "steps", codec_json_new_int((int64_t)r->n));
    codec_json_set(j, "cached", codec_json_new_int(r->cached));
    end_object(r, j);
}
