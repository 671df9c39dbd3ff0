#include "probe/probe_sheet.h"

#include "base/json.h"
#include "paint/exposure.h"

#include <stdlib.h>
#include <unistd.h>

void probe__sheet_warm_up(void)
{
    json_object_seed(0); /* opens /dev/urandom */
}

static int read_sheet(int fd, struct timesheet *out, struct err *e)
{
    size_t size = 0;
    char *text = malloc(TIMESHEET_FILE_MAX + 1);
    if (!text)
        return err_set(e, ERR_media_decode_memory, "no memory for a timesheet");
    ssize_t got;
    while (size <= TIMESHEET_FILE_MAX && (got = pread(fd, text + size, TIMESHEET_FILE_MAX + 1 - size, (off_t)size)) > 0)
        size += (size_t)got;
    int failed = size > TIMESHEET_FILE_MAX
                     ? err_set_field(e, ERR_payload_too_large, "timesheet", "it may have %d bytes", TIMESHEET_FILE_MAX)
                     : timesheet_parse(out, text, size, e);
    free(text);
    return failed ? -1 : 0;
}

int probe__sheet(int sheet_fd, int video_fd, const struct media_info *video, const struct media_limits *l,
                 struct err *e)
{
    struct timesheet sheet = {.frames = 0};
    struct exposure x = {.frames = 0};
    char **names = NULL;
    int64_t count = 0;
    int failed = read_sheet(sheet_fd, &sheet, e);
    if (!failed && sheet.frames > l->frames)
        failed = err_set_field(e, ERR_media_too_many_frames, "timesheet", "it lasts more than %lld frames",
                               (long long)l->frames);
    if (!failed && video->kind == MEDIA_FRAMES_ZIP)
        failed = media_frame_names_fd(video_fd, l, &names, &count, e);
    if (!failed)
        failed = exposure_init(&x, &sheet, (int32_t)video->frames, (const char *const *)(void *)names, e);
    exposure_fini(&x);
    timesheet_fini(&sheet);
    for (int64_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return failed ? -1 : 0;
}
