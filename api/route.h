/* route.h - the tables of routes. A new route is a row here, a function, a path in openapi.yaml and a test. */
#ifndef LONGANIM_API_ROUTE_H
#define LONGANIM_API_ROUTE_H

#include "req.h"

struct route_table {
    const struct route *routes;
    int count;
};

extern const struct route_table route_api, route_ops;

/* Finds the row for method and decoded path; a leading /v1 of the API is cut off, HEAD finds GET. Parameters go to
 * `params`. route_not_found; method_not_allowed with the methods that are in `allow`. */
int route_find(const struct route_table *t, const char *method, const char *path, const struct route **out,
               char params[2][REQ_PARAM_MAX + 1], char allow[64], struct err *e);

/* The methods of a path for OPTIONS; -1 when the path is not known. */
int route_methods(const struct route_table *t, const char *path, char allow[64]);

#endif
