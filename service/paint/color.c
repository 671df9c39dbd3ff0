#include "paint/color.h"

#include <math.h>

#define PI 3.14159265358979323846

static double linear(uint8_t v)
{
    double x = v / 255.0;
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

struct oklab color_oklab(const uint8_t rgb[3])
{
    double r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return (struct oklab){(float)(0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s),
                          (float)(1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s),
                          (float)(0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s)};
}

static double lab_f(double t)
{
    return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116;
}

struct cielab color_cielab(const uint8_t rgb[3])
{
    double r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
    double x = lab_f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
    double y = lab_f(0.2126729 * r + 0.7151522 * g + 0.0721750 * b);
    double z = lab_f((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883);
    return (struct cielab){116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

static double degrees_of(double b, double a)
{
    if (a == 0 && b == 0)
        return 0;
    double h = atan2(b, a) * 180 / PI;
    return h < 0 ? h + 360 : h;
}

static double sine(double degrees)
{
    return sin(degrees * PI / 180);
}

static double cosine(double degrees)
{
    return cos(degrees * PI / 180);
}

static double pow7(double x)
{
    double x2 = x * x;
    return x2 * x2 * x2 * x;
}

/* Mean of two hues on the circle; of a grey and a hue, the hue. */
static double mean_hue(double h1, double h2, double chroma_product)
{
    if (chroma_product == 0)
        return h1 + h2;
    if (fabs(h1 - h2) <= 180)
        return (h1 + h2) / 2;
    return h1 + h2 < 360 ? (h1 + h2 + 360) / 2 : (h1 + h2 - 360) / 2;
}

double color_ciede2000(struct cielab p, struct cielab q)
{
    const double pow25_7 = 6103515625.0;
    double mean_c7 = pow7((hypot(p.a, p.b) + hypot(q.a, q.b)) / 2);
    double g = 0.5 * (1 - sqrt(mean_c7 / (mean_c7 + pow25_7)));
    double a1 = (1 + g) * p.a, a2 = (1 + g) * q.a;
    double c1 = hypot(a1, p.b), c2 = hypot(a2, q.b);
    double h1 = degrees_of(p.b, a1), h2 = degrees_of(q.b, a2);
    double turn = c1 * c2 == 0 ? 0 : h2 - h1;
    if (turn > 180)
        turn -= 360;
    else if (turn < -180)
        turn += 360;
    double dL = q.L - p.L, dC = c2 - c1, dH = 2 * sqrt(c1 * c2) * sine(turn / 2);
    double L = (p.L + q.L) / 2, C = (c1 + c2) / 2, H = mean_hue(h1, h2, c1 * c2);
    double t = 1 - 0.17 * cosine(H - 30) + 0.24 * cosine(2 * H) + 0.32 * cosine(3 * H + 6) - 0.20 * cosine(4 * H - 63);
    double bend = (H - 275) / 25, l50 = (L - 50) * (L - 50);
    double s_l = 1 + 0.015 * l50 / sqrt(20 + l50), s_c = 1 + 0.045 * C, s_h = 1 + 0.015 * C * t;
    double r_t = -2 * sqrt(pow7(C) / (pow7(C) + pow25_7)) * sine(60 * exp(-bend * bend));
    double l = dL / s_l, c = dC / s_c, h = dH / s_h;
    return sqrt(l * l + c * c + h * h + r_t * c * h);
}
