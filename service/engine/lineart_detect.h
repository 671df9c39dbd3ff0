/* lineart_detect.h - is this frame a drawing of lines on paper? Pure.
 *
 * A frame is line art when nearly all of it is paper (pixels close to the brightest common value) and what is not
 * paper is thin, except for solid black. Colour alone does not decide: animators draw shadow borders in red and blue.
 * The thresholds are in lineart_detect.c with what they were set against. */
#ifndef LONGANIM_ENGINE_LINEART_DETECT_H
#define LONGANIM_ENGINE_LINEART_DETECT_H

#include <stdint.h>

enum lineart_kind {
    LINEART_BLANK, /* paper only: says nothing */
    LINEART_LINES,
    LINEART_COLOR, /* anything else: colour, grey tones, photographs, white lines on black */
};

/* Packed RGB, rows top to bottom, at least 1x1. Aborts when memory is out. */
enum lineart_kind lineart_detect(const uint8_t *rgb, int32_t width, int32_t height);

/* Votes of several frames of one shot. */
struct lineart_votes {
    int lines, color;
};
void lineart_vote(struct lineart_votes *v, enum lineart_kind kind);
/* Line art when more frames say so than not; a shot of blank frames is line art without lines. */
enum lineart_kind lineart_verdict(const struct lineart_votes *v);

#endif
