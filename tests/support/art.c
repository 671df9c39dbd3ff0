/* art.c - the shapes of art.h: how a shot is made up and drawn. Damage to frames is in art_damage.c. */
#include "tests/support/art.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum shape { SHAPE_BLOB, SHAPE_CAPSULE, SHAPE_BOX, SHAPE_GROUND };

struct wave {
    double amplitude, frequency, phase;
};

/* A part hangs on its parent's frame of reference by (x, y, angle), each with a swing. Lengths are in units of the
 * figure's size; figures and grounds have no parent. */
struct part {
    enum shape shape;
    int32_t parent; /* -1 = the picture */
    int32_t clip;   /* only inside this part; -1 = everywhere */
    int32_t group;
    uint8_t hue;
    double x, y, angle, size; /* size: scale for the children too */
    struct wave swing_x, swing_y, swing_angle, swing_size;
    double drift_x; /* pixels of the parent per drawing */
    double a, b;    /* radii, or capsule length and radius */
    double lobes[4], lobe_phase[4];
    struct wave wobble;
    int gaps;
    double gap_at[3]; /* angle around the part */
    bool hidden;      /* a joint without a shape */
};

struct placed {
    double x, y, cos, sin, scale;
};

struct art {
    struct art_conf conf;
    struct part part[ART_PARTS_MAX];
    int32_t count, groups;
    uint8_t color[ART_PARTS_MAX][3];
};

uint64_t art_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double art_uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(art_random(state) >> 11) * 0x1p-53;
}

#define U(low, high) art_uniform(s, (low), (high))

void art_conf_init(struct art_conf *c, uint64_t seed, int32_t width, int32_t height, int32_t frames)
{
    *c = (struct art_conf){.seed = seed, .width = width, .height = height, .frames = frames, .hold = 1, .speed = 1};
    c->line_px = fmax(1.2, height / 360.0);
    c->antialias = true;
    c->gap_px = fmax(1, height / 270.0);
}

/* ---- making up a shot ---- */
static struct wave wave(uint64_t *s, double amplitude)
{
    return (struct wave){U(0, amplitude), U(0.02, 0.09), U(0, 6.28)};
}

static int32_t add(struct art *a, uint64_t *s, struct part p)
{
    if (a->count == ART_PARTS_MAX)
        return a->count - 1;
    if (U(0, 1) < a->conf.gaps && !p.hidden && p.shape != SHAPE_GROUND) {
        p.gaps = 1 + (int)U(0, 2.99);
        for (int i = 0; i < p.gaps; i++)
            p.gap_at[i] = U(0, 6.28);
    }
    a->part[a->count] = p;
    return a->count++;
}

static struct part blob(uint64_t *s, int32_t parent, int32_t group, double x, double y, double ra, double rb)
{
    struct part p = {.shape = SHAPE_BLOB, .parent = parent, .clip = -1, .group = group, .x = x, .y = y, .size = 1};
    p.a = ra;
    p.b = rb;
    for (int k = 0; k < 4; k++) {
        p.lobes[k] = U(-0.12, 0.12) / (k + 1);
        p.lobe_phase[k] = U(0, 6.28);
    }
    p.wobble = wave(s, 0.3);
    return p;
}

static struct part capsule(int32_t parent, int32_t group, double x, double y, double length, double radius)
{
    return (struct part){.shape = SHAPE_CAPSULE,
                         .parent = parent,
                         .clip = -1,
                         .group = group,
                         .x = x,
                         .y = y,
                         .size = 1,
                         .a = length,
                         .b = radius};
}

static struct part ellipse(int32_t parent, int32_t group, double x, double y, double ra, double rb)
{
    return (struct part){
        .shape = SHAPE_BLOB, .parent = parent, .clip = -1, .group = group, .x = x, .y = y, .size = 1, .a = ra, .b = rb};
}

/* A patch lies inside another part: a belt, a spot, a shadow bounded by a trace line. */
static void patch(struct art *a, uint64_t *s, int32_t on, int32_t group, uint8_t hue, double x, double y, double ra,
                  double rb)
{
    struct part p = blob(s, on, group, x, y, ra, rb);
    p.clip = on;
    p.hue = hue;
    add(a, s, p);
}

static void shade(struct art *a, uint64_t *s, int32_t on, int32_t shadow_group)
{
    if (a->conf.trace && U(0, 1) < 0.6)
        patch(a, s, on, shadow_group, 2, U(-0.5, 0.5) * a->part[on].a, a->part[on].b * 0.7, a->part[on].a * 1.1,
              a->part[on].b * 0.8);
    if (a->conf.trace && U(0, 1) < 0.3)
        patch(a, s, on, shadow_group + 1, 1, -0.3 * a->part[on].a, -0.4 * a->part[on].b, a->part[on].a * 0.3,
              a->part[on].b * 0.25);
}

static void eyes(struct art *a, uint64_t *s, int32_t head, int32_t group, double y, double gap, double r)
{
    struct wave look = wave(s, r * 0.35);
    for (int side = -1; side <= 1; side += 2) {
        int32_t white = add(a, s, ellipse(head, group, side * gap, y, r, r * 1.15));
        struct part pupil = ellipse(white, group + 1, 0, 0, r * 0.5, r * 0.6);
        pupil.swing_x = look;
        add(a, s, pupil);
    }
}

static int32_t limb(struct art *a, uint64_t *s, int32_t on, const int32_t group[3], double x, double y, double angle,
                    double length, double r, double swing, double phase, double speed)
{
    struct part upper = capsule(on, group[0], x, y, length, r);
    upper.angle = angle;
    upper.swing_angle = (struct wave){swing, speed, phase};
    int32_t u = add(a, s, upper);
    struct part lower = capsule(u, group[1], length, 0, length * 0.9, r * 0.85);
    lower.angle = 0.3;
    lower.swing_angle = (struct wave){swing * 0.8, speed, phase + 1};
    int32_t l = add(a, s, lower);
    return add(a, s, ellipse(l, group[2], length * 0.95, 0, r * 1.3, r * 1.2));
}

/* g is the first of 14 colour groups. */
static void puppet(struct art *a, uint64_t *s, int32_t root, int32_t g)
{
    int skin = g, shirt = g + 1, trousers = g + 2, shoes = g + 3, hair = g + 4, eye = g + 5, sleeve = g + 7;
    double bw = U(0.1, 0.17), bh = U(0.17, 0.25), r = U(0.13, 0.2), speed = U(0.03, 0.12);
    int32_t arm[3] = {U(0, 1) < 0.5 ? shirt : sleeve, U(0, 1) < 0.5 ? shirt : skin, skin};
    int32_t leg[3] = {trousers, U(0, 1) < 0.7 ? trousers : skin, shoes};
    double swing = U(0.2, 0.8) * a->conf.speed, phase = U(0, 6.28);
    limb(a, s, root, arm, -bw * 0.8, -bh * 0.7, 1.9, U(0.15, 0.22), U(0.035, 0.055), swing, phase, speed);
    limb(a, s, root, leg, -bw * 0.5, bh * 0.7, 1.7, U(0.18, 0.26), U(0.045, 0.07), swing * 0.8, phase, speed);
    limb(a, s, root, leg, bw * 0.5, bh * 0.7, 1.4, U(0.18, 0.26), U(0.045, 0.07), swing * 0.8, phase + 3.14, speed);
    int32_t body = add(a, s, blob(s, root, shirt, 0, 0, bw, bh));
    shade(a, s, body, g + 10);
    if (U(0, 1) < 0.6)
        patch(a, s, body, g + 8, 0, 0, bh * 0.75, bw * 1.4, bh * 0.18);
    if (U(0, 1) < 0.5)
        patch(a, s, body, g + 9, 0, U(-0.3, 0.3) * bw, -bh * 0.2, bw * 0.35, bw * 0.3);
    struct part neck = {.shape = SHAPE_BLOB, .parent = root, .clip = -1, .group = skin, .y = -bh - r * 0.75, .size = 1};
    neck.hidden = true;
    neck.swing_angle = wave(s, 0.25 * a->conf.speed);
    int32_t head = add(a, s, neck);
    if (U(0, 1) < 0.7)
        add(a, s, blob(s, head, hair, 0, -r * 0.15, r * 1.15, r * 1.2));
    int32_t face = add(a, s, ellipse(head, skin, 0, r * 0.1, r * 0.9, r));
    shade(a, s, face, g + 12);
    eyes(a, s, face, eye, -r * 0.05, r * 0.38, r * U(0.16, 0.26));
    if (U(0, 1) < 0.5)
        patch(a, s, face, g + 9, 0, 0, r * 0.55, r * 0.3, r * 0.12);
    add(a, s, blob(s, head, hair, 0, -r * 0.75, r * 0.95, r * 0.4));
    limb(a, s, root, arm, bw * 0.8, -bh * 0.7, 1.2, U(0.15, 0.22), U(0.035, 0.055), swing, phase + 2.5, speed);
}

static void creature(struct art *a, uint64_t *s, int32_t root, int32_t g)
{
    double ra = U(0.2, 0.34), rb = U(0.15, 0.26);
    for (int i = 0, n = (int)U(1, 4.99); i < n; i++) {
        struct part leg = capsule(root, g + 1 + i % 2, U(-0.8, 0.8) * ra, rb * 0.5, U(0.15, 0.3), U(0.03, 0.06));
        leg.angle = U(1.2, 1.9);
        leg.swing_angle = wave(s, 0.5 * a->conf.speed);
        add(a, s, leg);
    }
    int32_t body = add(a, s, blob(s, root, g, 0, 0, ra, rb));
    shade(a, s, body, g + 10);
    for (int i = 0, n = (int)U(0, 4.99); i < n; i++)
        patch(a, s, body, g + 3 + i % 2, 0, U(-0.8, 0.8) * ra, U(-0.8, 0.8) * rb, U(0.03, 0.09), U(0.03, 0.08));
    double side = U(0, 1) < 0.5 ? -1 : 1, r = U(0.1, 0.17);
    struct part skull = blob(s, root, g + (U(0, 1) < 0.5), side * ra, -rb * 0.8, r, r * U(0.8, 1.2));
    skull.swing_angle = wave(s, 0.3 * a->conf.speed);
    skull.swing_y = wave(s, 0.04 * a->conf.speed);
    for (int i = 0; i < 2; i++)
        add(a, s, blob(s, root, g + 5, side * ra + (i - 0.5) * r, -rb * 0.8 - r, r * 0.3, r * 0.5));
    int32_t head = add(a, s, skull);
    eyes(a, s, head, g + 6, -r * 0.2, r * 0.4, r * U(0.15, 0.25));
    add(a, s, blob(s, head, g + 8, 0, r * 0.45, r * 0.45, r * 0.25));
    struct part tail = capsule(root, g + 9, -side * ra * 0.9, 0, U(0.15, 0.3), U(0.02, 0.05));
    tail.angle = side > 0 ? U(2.8, 4) : U(-0.8, 0.4);
    tail.swing_angle = wave(s, 0.8 * a->conf.speed);
    add(a, s, tail);
}

static void vehicle(struct art *a, uint64_t *s, int32_t root, int32_t g)
{
    double ra = U(0.3, 0.45), rb = U(0.1, 0.17);
    struct part cabin = {.shape = SHAPE_BOX, .parent = root, .clip = -1, .group = g + 1, .y = -rb * 1.6, .size = 1};
    cabin.a = ra * U(0.4, 0.7);
    cabin.b = rb * 0.9;
    int32_t c = add(a, s, cabin);
    struct part window = cabin;
    window.parent = c;
    window.y = 0;
    window.group = g + 2;
    window.a = cabin.a * 0.35;
    window.b = cabin.b * 0.5;
    for (int side = -1; side <= 1; side += 2) {
        window.x = side * cabin.a * 0.45;
        add(a, s, window);
    }
    struct part hull = {.shape = SHAPE_BOX, .parent = root, .clip = -1, .group = g, .a = ra, .b = rb, .size = 1};
    int32_t h = add(a, s, hull);
    shade(a, s, h, g + 10);
    patch(a, s, h, g + 3, 0, 0, rb * 0.4, ra * 1.2, rb * 0.2);
    for (int side = -1; side <= 1; side += 2) {
        int32_t tyre = add(a, s, ellipse(root, g + 4, side * ra * 0.6, rb, rb * 0.6, rb * 0.6));
        int32_t rim = add(a, s, ellipse(tyre, g + 5, 0, 0, rb * 0.3, rb * 0.3));
        struct part spoke = capsule(rim, g + 6, 0, 0, rb * 0.18, rb * 0.07);
        spoke.swing_angle = wave(s, 3 * a->conf.speed);
        add(a, s, spoke);
    }
}

static void landscape(struct art *a, uint64_t *s)
{
    double w = a->conf.width, h = a->conf.height, pan = U(-0.004, 0.004) * w * a->conf.speed;
    struct part sky = {.shape = SHAPE_GROUND, .parent = -1, .clip = -1, .group = 0, .y = -h, .size = h};
    add(a, s, sky);
    if (a->conf.plain)
        return;
    struct part sun = ellipse(-1, 1, U(0.1, 0.9) * w, U(0.1, 0.3) * h, U(0.05, 0.1), 0);
    sun.b = sun.a;
    sun.size = h;
    add(a, s, sun);
    for (int i = 0, n = (int)U(1, 3.99); i < n; i++) {
        struct part cloud = blob(s, -1, 2, U(0, 1) * w, U(0.05, 0.35) * h, U(0.08, 0.2), U(0.04, 0.08));
        cloud.size = h;
        cloud.drift_x = U(-0.002, 0.002) * w * a->conf.speed;
        add(a, s, cloud);
    }
    for (int i = 0, n = (int)U(1, 3.99); i < n; i++) {
        struct part hill = {.shape = SHAPE_GROUND, .parent = -1, .clip = -1, .group = 3 + i, .size = h};
        hill.y = (0.5 + 0.15 * i) * h;
        hill.drift_x = pan * (i + 1);
        for (int k = 0; k < 3; k++) {
            hill.lobes[k] = U(0, 0.06) / (k + 1);
            hill.lobe_phase[k] = U(0, 6.28);
        }
        add(a, s, hill);
        struct part rock = blob(s, -1, 6, U(0, 1) * w, (0.62 + 0.15 * i) * h, U(0.03, 0.08), U(0.02, 0.05));
        rock.size = h;
        rock.drift_x = hill.drift_x;
        add(a, s, rock);
    }
}

static void hsv(uint8_t rgb[3], double h, double sat, double v)
{
    for (int c = 0; c < 3; c++) {
        double k = fmod(5 - 2 * c + h * 6, 6), f = fmin(fmin(k, 4 - k), 1);
        rgb[c] = (uint8_t)lrint(255 * (v - v * sat * fmax(f, 0)));
    }
}

/* Groups of one figure differ clearly; shadows and highlights stay near the paint they shade. */
static void colors(struct art *a, uint64_t *s)
{
    uint8_t color[ART_PARTS_MAX][3];
    double one_hue = U(0, 1) < 0.2 ? U(0, 1) : -1;
    for (int g = 0; g < a->groups; g++)
        for (int tries = 0; tries < 60; tries++) {
            double hue = one_hue < 0 ? U(0, 1) : one_hue + U(-0.08, 0.08) + 1;
            hsv(color[g], fmod(hue, 1), U(0, 1) < 0.15 ? U(0, 0.08) : U(0.25, 0.95), U(0.25, 1));
            int nearest = 1000;
            for (int o = 0; o < g; o++) {
                int d =
                    abs(color[g][0] - color[o][0]) + abs(color[g][1] - color[o][1]) + abs(color[g][2] - color[o][2]);
                nearest = d < nearest ? d : nearest;
            }
            if (nearest > 48 - tries / 2 && color[g][0] + color[g][1] + color[g][2] > 60)
                break;
        }
    if (a->conf.plain)
        memset(color[0], 255, 3);
    for (int i = 0; i < a->count; i++)
        memcpy(a->color[i], color[a->part[i].group], 3);
}

struct art *art_new(const struct art_conf *c)
{
    static void (*const makers[])(struct art *, uint64_t *, int32_t, int32_t) = {puppet, creature, vehicle};
    struct art *a = c->width <= ART_WIDTH_MAX ? calloc(1, sizeof *a) : NULL;
    if (!a)
        return NULL;
    uint64_t state = c->seed * UINT64_C(0x2545F4914F6CDD1D) + 1, *s = &state;
    a->conf = *c;
    landscape(a, s);
    a->groups = 7;
    int figures = c->figures ? c->figures : (int)U(1, 3.99);
    for (int i = 0; i < figures; i++) {
        double size = c->height * U(0.55, 0.95) / (figures > 1 ? 1.25 : 1);
        struct part root = {.parent = -1, .clip = -1, .hidden = true, .size = size};
        root.x = c->width * ((i + 0.5) / figures + U(-0.1, 0.1));
        root.y = c->height * U(0.45, 0.6);
        root.swing_x = wave(s, 0.12 * c->width * c->speed);
        root.swing_y = wave(s, 0.05 * c->height * c->speed);
        root.swing_angle = wave(s, 0.15 * c->speed);
        root.swing_size = wave(s, 0.1 * c->speed);
        root.drift_x = U(-0.003, 0.003) * c->width * c->speed;
        int32_t at = add(a, s, root);
        double kind = U(0, 1);
        makers[kind < 0.5 ? 0 : kind < 0.8 ? 1 : 2](a, s, at, a->groups);
        a->groups += 14;
    }
    colors(a, s);
    return a;
}

void art_free(struct art *a)
{
    free(a);
}

int32_t art_parts(const struct art *a)
{
    return a->count;
}

const uint8_t *art_color(const struct art *a, int32_t part)
{
    return a->color[part];
}

int32_t art_group(const struct art *a, int32_t part)
{
    return a->part[part].group;
}

void art_believe(const struct art *a, int32_t frame, double share, uint64_t seed, uint8_t *colors)
{
    for (int32_t i = 0; i < a->count; i++) {
        const struct part *p = &a->part[i];
        uint64_t state = seed * 977 + (uint64_t)i * 131071 + (uint64_t)((frame + 7 * i) / 64) * 8191, *s = &state;
        double extent = p->a * p->b, chance = share * (extent < 0.004 ? 1.5 : extent < 0.02 ? 1 : 0.5);
        int32_t as = i;
        if (p->shape != SHAPE_GROUND && U(0, 1) < chance) {
            as = p->parent >= 0 && U(0, 1) < 0.5 ? p->parent : (int32_t)U(0, a->count - 0.01);
            if (a->part[as].hidden)
                as = i;
        }
        memcpy(colors + 3 * i, a->color[as], 3);
    }
}

/* ---- drawing ---- */
static double at_time(const struct wave *w, double t)
{
    return w->amplitude * sin(6.2832 * w->frequency * t + w->phase);
}

static struct placed place(const struct art *a, const struct placed *done, const struct part *p, double t)
{
    struct placed parent = {0, 0, 1, 0, 1};
    if (p->parent >= 0)
        parent = done[p->parent];
    (void)a;
    double x = p->x + at_time(&p->swing_x, t) + p->drift_x * t, y = p->y + at_time(&p->swing_y, t);
    double turn = p->angle + at_time(&p->swing_angle, t), c = cos(turn), n = sin(turn);
    return (struct placed){parent.x + parent.scale * (parent.cos * x - parent.sin * y),
                           parent.y + parent.scale * (parent.sin * x + parent.cos * y), parent.cos * c - parent.sin * n,
                           parent.sin * c + parent.cos * n, parent.scale * p->size * exp(at_time(&p->swing_size, t))};
}

/* Signed distance in pixels, negative inside; (u, v) in the part's own frame, pixels. */
static double distance(const struct part *p, double u, double v, double scale, double t)
{
    double a = p->a * scale, b = p->b * scale;
    if (p->shape == SHAPE_CAPSULE) {
        double along = fmin(fmax(u, 0), a);
        return hypot(u - along, v) - b * (1 - 0.15 * along / (a + 1e-9));
    }
    if (p->shape == SHAPE_BOX) {
        double corner = 0.25 * b, qx = fabs(u) - a + corner, qy = fabs(v) - b + corner;
        return hypot(fmax(qx, 0), fmax(qy, 0)) + fmin(fmax(qx, qy), 0) - corner;
    }
    double f = hypot(u / a, v / b), g = hypot(u / (a * a), v / (b * b)) / (f + 1e-9);
    if (f > 1.6 || f < 0.4) /* far from the outline its shape does not matter */
        return (f - 1) / (g + 1e-9);
    double theta = atan2(v / b, u / a), radius = 1;
    for (int k = 0; k < 4; k++)
        radius += p->lobes[k] * cos((k + 2) * theta + p->lobe_phase[k] + at_time(&p->wobble, t) * (k + 1));
    return (f - radius) / (g + 1e-9);
}

/* The height of the ground at every column. */
static void horizon(const struct part *p, const struct placed *at, int32_t width, double *level)
{
    for (int32_t x = 0; x < width; x++) {
        level[x] = at->y;
        for (int k = 0; k < 3; k++)
            level[x] += p->lobes[k] * at->scale *
                        sin(6.2832 * (k + 1) * (x + 0.5 - at->x) / (3 * at->scale) + p->lobe_phase[k]);
    }
}

/* Where the outline is broken: the points where rays from the part's middle leave it. */
static void find_gaps(const struct part *p, double scale, double t, double at[3][2])
{
    for (int i = 0; i < p->gaps; i++) {
        double c = cos(p->gap_at[i]), s = sin(p->gap_at[i]),
               middle = p->shape == SHAPE_CAPSULE ? p->a * 0.5 * scale : 0;
        double near = 0, far = 3 * (p->a + p->b) * scale;
        for (int k = 0; k < 40; k++) {
            double r = 0.5 * (near + far);
            if (distance(p, middle + c * r, s * r, scale, t) < 0)
                near = r;
            else
                far = r;
        }
        at[i][0] = middle + c * near;
        at[i][1] = s * near;
    }
}

static bool in_gap(const struct art *a, const struct part *p, double u, double v, double at[3][2])
{
    for (int i = 0; i < p->gaps; i++)
        if (hypot(u - at[i][0], v - at[i][1]) < a->conf.gap_px * 0.5)
            return true;
    return false;
}

static void bounds(const struct art *a, const struct part *p, const struct placed *at, int32_t box[4])
{
    double reach =
        (p->shape == SHAPE_CAPSULE ? p->a + p->b : hypot(p->a, p->b) * 1.35) * at->scale + a->conf.line_px + 2;
    if (p->shape == SHAPE_GROUND)
        reach = 1e9;
    box[0] = (int32_t)fmax(0, at->x - reach);
    box[1] = (int32_t)fmax(0, at->y - reach);
    box[2] = (int32_t)fmin(a->conf.width, fmax(0, at->x + reach + 1));
    box[3] = (int32_t)fmin(a->conf.height, fmax(0, at->y + reach + 1));
}

static void draw_part(const struct art *a, int32_t index, const struct placed *at, double t, struct art_frame *f)
{
    const struct part *p = &a->part[index];
    double half = a->conf.line_px * 0.5, level[ART_WIDTH_MAX], gaps[3][2];
    int32_t box[4];
    bounds(a, p, at, box);
    if (p->shape == SHAPE_GROUND)
        horizon(p, at, a->conf.width, level);
    else
        find_gaps(p, at->scale, t, gaps);
    for (int32_t y = box[1]; y < box[3]; y++)
        for (int32_t x = box[0]; x < box[2]; x++) {
            int64_t i = (int64_t)y * f->width + x;
            if (p->clip >= 0 && f->part[i] != p->clip)
                continue;
            double dx = x + 0.5 - at->x, dy = y + 0.5 - at->y;
            double u = at->cos * dx + at->sin * dy, v = -at->sin * dx + at->cos * dy;
            double d = p->shape == SHAPE_GROUND ? (level[x] - y - 0.5) * 0.95 : distance(p, u, v, at->scale, t);
            double cover = a->conf.antialias ? fmin(fmax(half + 0.5 - fabs(d), 0), 1) : fabs(d) < half;
            if (p->gaps && cover > 0 && in_gap(a, p, u, v, gaps))
                cover = 0;
            uint8_t ink = (uint8_t)lrint(cover * 255);
            if (d < 0) {
                f->part[i] = (uint16_t)index;
                f->ink[i] = p->clip >= 0 && f->ink[i] > ink ? f->ink[i] : ink;
                f->hue[i] = p->clip >= 0 && f->ink[i] > ink ? f->hue[i] : p->hue;
            } else if (ink > f->ink[i]) {
                f->ink[i] = ink;
                f->hue[i] = p->hue;
            }
        }
}

int art_frame_init(struct art_frame *f, const struct art *a)
{
    size_t n = (size_t)a->conf.width * (size_t)a->conf.height;
    *f = (struct art_frame){a->conf.width, a->conf.height, malloc(n * 2), malloc(n), malloc(n)};
    return f->part && f->ink && f->hue ? 0 : -1;
}

void art_frame_fini(struct art_frame *f)
{
    free(f->part);
    free(f->ink);
    free(f->hue);
}

void art_draw(const struct art *a, int32_t frame, struct art_frame *out)
{
    struct placed done[ART_PARTS_MAX];
    size_t n = (size_t)out->width * (size_t)out->height;
    double t = frame / (a->conf.hold > 1 ? a->conf.hold : 1);
    memset(out->part, 0, n * 2);
    memset(out->ink, 0, n);
    memset(out->hue, 0, n);
    for (int32_t i = 0; i < a->count; i++) {
        done[i] = place(a, done, &a->part[i], t);
        if (!a->part[i].hidden && i > 0)
            draw_part(a, i, &done[i], t, out);
    }
}

static void blend(uint8_t *out, const double line[3], const uint8_t under[3], uint8_t ink)
{
    if (ink == 0) {
        memcpy(out, under, 3);
        return;
    }
    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)lrint((line[c] * ink + under[c] * (255.0 - ink)) / 255);
}

void art_lines(const struct art *a, const struct art_frame *f, uint8_t *rgb)
{
    static const double trace[3][3] = {{0, 0, 0}, {255, 0, 0}, {0, 0, 255}};
    static const uint8_t white[3] = {255, 255, 255};
    for (int64_t i = 0, n = (int64_t)f->width * f->height; i < n; i++)
        blend(rgb + i * 3, f->hue[i] ? trace[f->hue[i]] : a->conf.line_rgb, white, f->ink[i]);
}

void art_picture(const struct art *a, const struct art_frame *f, const uint8_t *colors, bool with_lines, uint8_t *rgb)
{
    for (int64_t i = 0, n = (int64_t)f->width * f->height; i < n; i++)
        blend(rgb + i * 3, a->conf.line_rgb, colors + 3 * f->part[i], with_lines && !f->hue[i] ? f->ink[i] : 0);
}

void art_truth(const struct art *a, const struct art_frame *f, bool with_lines, uint8_t *rgb)
{
    art_picture(a, f, a->color[0], with_lines, rgb);
}

void art_mirror(uint8_t *rgb, int32_t width, int32_t height)
{
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width / 2; x++)
            for (int c = 0; c < 3; c++) {
                uint8_t *l = rgb + ((int64_t)y * width + x) * 3 + c,
                        *r = rgb + ((int64_t)y * width + width - 1 - x) * 3 + c;
                uint8_t swap = *l;
                *l = *r;
                *r = swap;
            }
}
