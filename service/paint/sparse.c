#include "paint/sparse.h"

void sparse_add(struct sparse *s, uint8_t color, float weight)
{
    int least = 0;
    s->total += weight;
    for (int i = 0; i < s->count; i++) {
        if (s->color[i] == color) {
            s->weight[i] += weight;
            return;
        }
        if (s->weight[i] < s->weight[least])
            least = i;
    }
    if (s->count < SPARSE_COLORS)
        least = s->count++;
    else if (s->weight[least] >= weight)
        return;
    s->color[least] = color;
    s->weight[least] = weight;
}

void sparse_shares(const struct sparse *s, int32_t colors, float *out)
{
    float kept = 0;
    for (int i = 0; i < s->count; i++)
        kept += s->weight[i];
    float rest = s->total > kept && colors > s->count ? (s->total - kept) / (float)(colors - s->count) : 0;
    float scale = s->total > 0 ? 1 / s->total : 0, even = 1 / (float)colors;
    for (int32_t c = 0; c < colors; c++)
        out[c] = s->total > 0 ? rest * scale : even;
    for (int i = 0; i < s->count && s->total > 0; i++)
        out[s->color[i]] = s->weight[i] * scale;
}
