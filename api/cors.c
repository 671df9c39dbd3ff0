#include "cors.h"

#include <string.h>

bool cors_allows(const char *origins, const char *origin)
{
    if (!origins || !origin || origin[0] == 0)
        return false;
    for (const char *at = origins; *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " ");
        size_t size = strcspn(at, ", ");
        if ((size == 1 && *at == '*') || (size == strlen(origin) && memcmp(at, origin, size) == 0))
            return true;
    }
    return false;
}
