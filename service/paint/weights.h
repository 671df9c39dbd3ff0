/* weights.h - the numbers that were fitted, in one place.
 *
 * They come from tools/fit-paint-weights over synthetic training shots (tests/support/art.h, seeds that no test uses),
 * those of kin.c from tools/fit-paint-prior over training clips of tools/art; docs/paint.md says how and how well.
 * Nothing here was set by looking at test shots. */
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

/* What speaks for a region of the reference being a region of a drawing (kin.c); differences are absolute. */
enum {
    KIN_BIAS,
    KIN_IOU,    /* overlap over union; 0 for flipped ones */
    KIN_INSIDE, /* overlap over the smaller one */
    KIN_FAR,    /* log(1 + 4 distance / size) */
    KIN_ACROSS, /* distance in heights of the picture */
    KIN_AREA,   /* log area */
    KIN_STRETCH,
    KIN_SPREAD,
    KIN_FILL,
    KIN_BORDER,
    KIN_COMPACT,   /* log(perimeter / size) */
    KIN_DEGREE,    /* log number of neighbours */
    KIN_CONTAINED, /* share of the border that belongs to one neighbour */
    KIN_SKEW,      /* third moments */
    KIN_FLIP,      /* the following are 0 for pairs that are not flipped */
    KIN_FLIP_FAR,
    KIN_FLIP_ACROSS,
    KIN_FLIP_TURNED, /* as FAR and ACROSS in the mirrored picture */
    KIN_FLIP_TURNED_ACROSS,
    KIN_PLACED, /* neighbours whose partners lie around it as they should */
    KIN_BESIDE, /* neighbours whose partners are its neighbours */
    KIN_FEATURES
};
#define KIN_ROUNDS 3

struct paint_weights {
    float track[MATCH_FEATURES];             /* logit that two regions of consecutive drawings are the same */
    float kin[KIN_ROUNDS + 1][KIN_FEATURES]; /* logit that a reference region is a region, by round */
    float prior_votes;                       /* exponent of a pooled prior's sharpness */
    /* Score of a colour: vote * log(pooled votes + floor) + geometry * log(pooled prior + floor) + ties. Both weights
     * are linear in log2 of the region's size in network pixels. */
    float vote_base, vote_slope, vote_floor;
    float geometry_base, geometry_slope, geometry_floor;
    float tie_open, tie_time;           /* pull of a region behind a gap, and of what a region comes from */
    float tie_brief;                    /* pull of what lies beside a region that is only there for a drawing or two */
    float trust;                        /* exponent of how often the network was right where the reference is sure */
    float neighbour;                    /* of log(how often the reference puts these colours side by side) */
    float vote_sigma, vote_sigma_small; /* OKLab error of a region's colour: large regions, one network pixel */
};

extern const struct paint_weights paint_weights_fitted;

#endif
