/* timesheet.h - exposure sheets: which drawing of which cel is shown when. XDTS (Clip Studio, OpenToonz): the line
 * "exchangeDigitalTimeSheet Save Data", then JSON. Any bytes are safe; sizes are bounded. */
#ifndef LONGANIM_PAINT_TIMESHEET_H
#define LONGANIM_PAINT_TIMESHEET_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define TIMESHEET_FILE_MAX (4 << 20) /* bytes */
#define TIMESHEET_FRAMES_MAX 100000
#define TIMESHEET_COLUMNS_MAX 256
#define TIMESHEET_NAME_SIZE 64 /* with the NUL; longer names are refused */

struct timesheet_column {
    char name[TIMESHEET_NAME_SIZE];        /* of the cel: "A" */
    int32_t *shown;                        /* per frame: index into drawings, or -1 = empty cel */
    char (*drawings)[TIMESHEET_NAME_SIZE]; /* names in order of first use */
    int32_t drawing_count;
};

struct timesheet {
    char cut[TIMESHEET_NAME_SIZE], scene[TIMESHEET_NAME_SIZE];
    int32_t frames;
    struct timesheet_column *columns;
    int32_t column_count;
};

/* params_invalid with what is wrong. Free with timesheet_fini. */
int timesheet_parse(struct timesheet *out, const char *text, size_t size, struct err *e);
void timesheet_fini(struct timesheet *t);

/* The drawing that a file belongs to: "A0012.png", "a/12.png" and "A_12.tga" are drawing "12" of column "A". -1 = none.
 */
int32_t timesheet_drawing_of(const struct timesheet_column *c, const char *file_name);

#endif
