/* key_routes.h - API keys for operators: list, create, change, rotate, revoke. All need the scope admin. */
#ifndef LONGANIM_API_KEY_ROUTES_H
#define LONGANIM_API_KEY_ROUTES_H

#include "req.h"

void key_routes_list(struct req *r, struct worker *w);   /* GET /keys */
void key_routes_get(struct req *r, struct worker *w);    /* GET /keys/{id} */
void key_routes_create(struct req *r, struct worker *w); /* POST /keys */
void key_routes_change(struct req *r, struct worker *w); /* PUT /keys/{id} */
void key_routes_rotate(struct req *r, struct worker *w); /* POST /keys/{id}/rotate */
void key_routes_revoke(struct req *r, struct worker *w); /* POST /keys/{id}/revoke */

struct app;

/* Reads the keys made through the API anew, for this process. */
int key_routes_reload(struct app *app, struct err *e);

#define KEY_ROUTES_COUNTER "keys" /* queue_bump: another process has changed some */

#endif
