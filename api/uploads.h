/* uploads.h - resumable uploads: tus 1.0 (core, creation, creation-with-upload, expiration, checksum, termination).
 *
 * An upload is a folder of the store, uploads/<tenant>/<id>/: info.json and one object per accepted chunk, named by the
 * offset at which it begins, so any api of the service can go on with it. A chunk counts when its object is durable;
 * one whose client went away counts as far as it came. Who appends holds a lock in Redis. */
#ifndef LONGANIM_API_UPLOADS_H
#define LONGANIM_API_UPLOADS_H

#include "req.h"
#include "spool.h"

int uploads_take_new(struct req *r, struct taker *out, struct err *e);
int uploads_take_patch(struct req *r, struct taker *out, struct err *e);
void uploads_get(struct req *r, struct worker *w);
void uploads_delete(struct req *r, struct worker *w);

/* What OPTIONS says of the protocol. */
void uploads_describe(const struct app *app, struct answer *a);

/* The content of a finished upload of this tenant, as a spooled file. `field` names it in errors. upload_not_found,
 * upload_expired, upload_offset_conflict (not finished). */
int uploads_fetch(struct app *app, struct worker *w, const char *tenant, const char *id, const char *field,
                  struct spooled *out, struct err *e);

#endif
