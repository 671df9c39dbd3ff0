/* Stage 5: what was made of what, with what. The worker adds ids, times and epochs. Schema: docs/formats.md. */
#include "engine/engine_int.h"

#include "base/fs.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *rational(int32_t num, int32_t den)
{
    char text[32];
    snprintf(text, sizeof text, "%d/%d", num, den);
    return json_safe_string(text);
}

static json_t *result_json(const struct engine__run *r)
{
    json_t *o = json_object();
    json_put_str(o, "sha256", r->result.sha256);
    json_put_int(o, "bytes", r->result.bytes);
    json_put_str(o, "content_type", r->result.content_type);
    json_put_int(o, "width", r->result.width);
    json_put_int(o, "height", r->result.height);
    json_put_int(o, "frames", r->result.frames);
    json_put(o, "fps", rational(r->info.fps_num, r->info.fps_den));
    return o;
}

static json_t *palette_json(const struct engine__run *r)
{
    json_t *o = json_object();
    json_put_str(o, "sha256", r->palette_sha256);
    json_put_int(o, "bytes", r->palette_bytes);
    json_put_int(o, "colors", r->palette->count);
    return o;
}

static json_t *timesheet_json(const struct engine__run *r)
{
    json_t *o = json_object();
    json_put_str(o, "sha256", r->timesheet_sha256);
    json_put_int(o, "bytes", r->timesheet_bytes);
    json_put_int(o, "frames", r->sheet.frames);
    json_put_int(o, "drawings", r->frames);
    json_put_str(o, "column", r->exposure.column);
    return o;
}

static json_t *inputs_json(const struct engine__run *r)
{
    json_t *o = json_object(), *video = json_object(), *references = json_array();
    json_put_str(video, "sha256", r->video_sha256);
    json_put_int(video, "bytes", r->video_bytes);
    json_put_str(video, "container", r->info.container);
    json_put_str(video, "codec", r->info.codec);
    json_put_str(video, "pixel_format", r->info.pixel_format);
    json_put_int(video, "width", r->info.width);
    json_put_int(video, "height", r->info.height);
    json_put_int(video, "frames", r->decoded);
    json_put_int(video, "drawings", r->frames);
    json_put(video, "fps", rational(r->info.fps_num, r->info.fps_den));
    json_put_bool(video, "variable_rate", r->info.variable_rate);
    json_put_int(video, "rotation", r->info.rotation);
    json_put_str(video, "read_as", r->input_kind == MDL_INPUT_LINEART ? "lineart" : "color");
    json_put_str(video, "alpha", r->info.has_alpha ? "over white" : NULL);
    json_put_str(video, "audio", r->info.has_audio ? "dropped" : NULL);
    for (int i = 0; i < r->job->reference_count; i++) {
        json_t *one = json_object();
        json_put_str(one, "sha256", r->reference_sha256[i]);
        json_put_int(one, "bytes", r->reference_bytes[i]);
        json_put_int(one, "width", r->references[i].width);
        json_put_int(one, "height", r->references[i].height);
        json_array_append_new(references, one);
    }
    json_put(o, "video", video);
    json_put(o, "references", references);
    if (r->palette)
        json_put(o, "palette", palette_json(r));
    if (r->sheet.frames > 0)
        json_put(o, "timesheet", timesheet_json(r));
    return o;
}

/* What lies beside the result. */
static int artifacts_json(const struct engine__run *r, json_t *list, struct err *e)
{
    char path[ENGINE_PATH_MAX], sha256[HASH_HEX_SIZE];
    int64_t bytes;
    for (int i = 0; i < ENGINE_ARTIFACTS; i++) {
        if (!(r->result.artifacts & 1 << i))
            continue;
        if (engine__path(r, path, engine_artifacts[i].name, e) != 0 || hash_file(path, sha256, &bytes, e) != 0)
            return -1;
        json_t *o = json_object();
        json_put_str(o, "name", engine_artifacts[i].name);
        json_put_str(o, "content_type", engine_artifacts[i].content_type);
        json_put_int(o, "bytes", bytes);
        json_put_str(o, "sha256", sha256);
        json_array_append_new(list, o);
    }
    return 0;
}

static json_t *plan_json(const struct engine__run *r)
{
    json_t *o = json_object(), *segments = json_array();
    json_put_str(o, "hash", r->plan.hash);
    json_put_int(o, "width", r->plan.width);
    json_put_int(o, "height", r->plan.height);
    json_put_int(o, "steps", r->plan.steps);
    for (int32_t i = 0; i < r->done; i++) {
        json_t *one = json_object();
        json_put_int(one, "n", i);
        json_put_int(one, "first_frame", r->segments[i].first_frame);
        json_put_int(one, "frames", r->segments[i].frames);
        json_put_str(one, "sha256", r->segments[i].sha256);
        json_array_append_new(segments, one);
    }
    json_put(o, "segments", segments);
    return o;
}

int engine__receipt(struct engine__run *r, struct err *e)
{
    const char *description = r->g->lib.describe(r->model);
    json_t *model = json_parse(description, strlen(description), ERR_model_error, e);
    if (!model)
        return -1;
    json_t *o = json_object(), *versions = json_object(), *artifacts = json_array();
    json_put_str(versions, "build", r->g->lib.version());
    json_put_str(versions, "media", media_versions());
    json_put_str(o, "format", "longanim-receipt");
    json_put_int(o, "version", 1);
    json_put(o, "result", result_json(r));
    json_put(o, "inputs", inputs_json(r));
    json_put(o, "params", params_json(r->job->params));
    json_put_int(o, "seed", r->job->params->seed);
    json_put_str(o, "model_name", r->model_row->name);
    json_put(o, "model", model);
    json_put(o, "plan", plan_json(r));
    json_put_str(o, "snap", r->snapped);
    json_put(o, "artifacts", artifacts);
    json_put(o, "versions", versions);
    int artifacts_failed = artifacts_json(r, artifacts, e);
    char *text = json_text(o, false);
    int failed = artifacts_failed || engine__path(r, r->result.receipt_path, "receipt.json", e) != 0 ||
                 fs_write_atomic(r->result.receipt_path, text, strlen(text), e) != 0 ||
                 engine__progress(r, "render", 1000000, 0, 0, r->result.frames, e) != 0;
    free(text);
    json_decref(o);
    return failed ? -1 : 0;
}
