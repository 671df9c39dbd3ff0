/* place.h - where results may be sent besides the service's own store. Pure.
 *
 * The setting lists store URLs with commas between, "s3://bucket/prefix?endpoint=URL&region=R"; "{key}" in the part
 * before the '?' stands for the id of the caller's key. A job's `output.to` is such a place or lies under one, without
 * the query: "s3://bucket/prefix/shots/12". */
#ifndef LONGANIM_JOB_PLACE_H
#define LONGANIM_JOB_PLACE_H

#include "base/err.h"

#include <jansson.h>

#define PLACE_URL_MAX 1024

/* The store URL of `to`, when this tenant may have results there; else params_invalid with the field /output/to. */
int place_find(const char *places, const char *tenant, const char *to, char out_url[PLACE_URL_MAX], struct err *e);

/* What this tenant may name or name something under: an array of texts; new reference. */
json_t *place_list(const char *places, const char *tenant);

#endif
