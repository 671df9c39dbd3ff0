/* weights.h - the numbers that were fitted, in one place.
 *
 * They come from tools/fit-paint-weights over synthetic training shots (tests/support/art.h, seeds that no test uses);
 * docs/paint.md says how and how well. Nothing here was set by looking at test shots. */
#ifndef LONGANIM_PAINT_WEIGHTS_H
#define LONGANIM_PAINT_WEIGHTS_H

/* What is compared when two regions might be the same thing (match.c). */
enum {
    MATCH_BIAS,
    MATCH_IOU,     /* overlap over union */
    MATCH_INSIDE,  /* overlap over the smaller one */
    MATCH_FAR,     /* log(1 + 4 distance / size), after the neighbours' motion is taken off */
    MATCH_MOVED,   /* the same before that */
    MATCH_ACROSS,  /* distance in heights of the picture */
    MATCH_AREA,    /* difference of log area */
    MATCH_STRETCH, /* difference of the elongation vectors */
    MATCH_SPREAD,  /* difference of log (moment / area) */
    MATCH_FILL,    /* difference of area / bounding box */
    MATCH_BORDER,  /* only one of them touches the picture's edge */
    MATCH_VOTES,   /* how alike the network's votes are, 0..1 */
    MATCH_FEATURES
};

struct paint_weights {
    float track[MATCH_FEATURES]; /* logit that two regions of consecutive drawings are the same */
    float prior[MATCH_FEATURES]; /* score of a reference region for a region */
    float prior_overlap;         /* of log(share of the reference's colour under the region) */
    float prior_votes;           /* exponent of a pooled prior's sharpness */
    /* Score of a colour: vote * log(pooled votes + floor) + geometry * log(pooled prior + floor) + ties. Both weights
     * are linear in log2 of the region's size in network pixels. */
    float vote_base, vote_slope, vote_floor;
    float geometry_base, geometry_slope, geometry_floor;
    float tie_open, tie_time;           /* pull of a region behind a gap, and of what a region comes from */
    float tie_brief;                    /* pull of what lies beside a region that is only there for a drawing or two */
    float neighbour;                    /* of log(how often the reference puts these colours side by side) */
    float vote_sigma, vote_sigma_small; /* OKLab error of a region's colour: large regions, one network pixel */
};

extern const struct paint_weights paint_weights_fitted;

#endif
