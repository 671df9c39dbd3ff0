/* probe_sheet.h - a timesheet held against the frames that came with it. Private to the folder. */
#ifndef LONGANIM_PROBE_PROBE_SHEET_H
#define LONGANIM_PROBE_PROBE_SHEET_H

#include "base/err.h"
#include "media/media.h"

/* Reads the sheet of sheet_fd and looks whether it is as long as the video, or names the files of the zip. Runs in the
 * sandbox. params_invalid and payload_too_large with the field "timesheet"; media_* when the zip cannot be read. */
int probe__sheet(int sheet_fd, int video_fd, const struct media_info *video, const struct media_limits *l,
                 struct err *e);

/* Once in the parent, before the first sandbox: what reading a sheet cannot do there. */
void probe__sheet_warm_up(void);

#endif
