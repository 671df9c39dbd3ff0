/* color.h - colour spaces and differences. sRGB in, D65. Any thread. */
#ifndef LONGANIM_PAINT_COLOR_H
#define LONGANIM_PAINT_COLOR_H

#include <stdint.h>

/* OKLab (Ottosson 2020): L 0..1, a and b about -0.4..0.4. Distances there are what votes use. */
struct oklab {
    float L, a, b;
};
struct oklab color_oklab(const uint8_t rgb[3]);

static inline float color_distance2(struct oklab p, struct oklab q)
{
    float dL = p.L - q.L, da = p.a - q.a, db = p.b - q.b;
    return dL * dL + da * da + db * db;
}

/* CIELAB for a D65 white. */
struct cielab {
    double L, a, b;
};
struct cielab color_cielab(const uint8_t rgb[3]);

/* CIEDE2000 colour difference, all weights 1 (Sharma, Wu, Dalal 2005). What reports use. */
double color_ciede2000(struct cielab p, struct cielab q);

#endif
