/* variant.h - model folders that are models/tiny_a but for some values of its manifest, or with the tiny video encoder
 * of the goldens: links into a scratch folder. */
#ifndef TESTS_SHIM_VARIANT_H
#define TESTS_SHIM_VARIANT_H

#include "support.h"

#include <stdio.h>
#include <unistd.h>

#define TINY "models/tiny_a"
/* Edits for sed, over the manifest. */
#define SEGMENTS_OF_81 "s/\"segment_frames\": 25/\"segment_frames\": 81/;"
#define WITH_VIDEO_ENCODER "s|\"video_encoder\": null|\"video_encoder\": \"'$PWD'/tests/goldens/video_xl/video_xl\"|;"

struct variant {
    char folder[256];
};

static inline void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static inline void variant_make(struct variant *v, const char *edits)
{
    char command[2048];
    const char *tmp = getenv("TMPDIR");
    snprintf(v->folder, sizeof v->folder, "%s/variant-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(v->folder));
    snprintf(command, sizeof command,
             "cp -rs \"$PWD/" TINY "/.\" %s && rm %s/longanimation.json && sed '%s' " TINY
             "/longanimation.json > %s/longanimation.json && ! cmp -s " TINY
             "/longanimation.json %s/longanimation.json",
             v->folder, v->folder, edits, v->folder, v->folder);
    shell(command);
}

static inline void variant_remove(const struct variant *v)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", v->folder);
    shell(command);
}

#endif
