/* webhooks.h - /webhooks: where to tell of jobs that ended. Delivery is courier.c's. */
#ifndef LONGANIM_API_WEBHOOKS_H
#define LONGANIM_API_WEBHOOKS_H

#include "base/hash.h"
#include "req.h"

#define WEBHOOK_KEY_SIZE 24
#define WEBHOOK_URL_MAX 2000

/* An endpoint as the queue keeps it. */
struct webhook {
    char url[WEBHOOK_URL_MAX + 1];
    uint8_t key[WEBHOOK_KEY_SIZE]; /* what deliveries are signed with */
    int64_t created_ms;
};

/* Reads the text that the queue keeps. 0, or -1 when it is none of ours. */
int webhook_parse(struct webhook *out, const char *text);

/* The signature of Standard Webhooks: "v1,<base64>" over "id.timestamp.body". */
#define WEBHOOK_SIGNATURE_SIZE (3 + HASH_BASE64_SIZE(HASH_SIZE))
void webhook_sign(const struct webhook *hook, const char *id, int64_t timestamp_s, const char *body,
                  char out[WEBHOOK_SIGNATURE_SIZE]);

void webhooks_create(struct req *r, struct worker *w);
void webhooks_list(struct req *r, struct worker *w);
void webhooks_get(struct req *r, struct worker *w);
void webhooks_delete(struct req *r, struct worker *w);
void webhooks_deliveries(struct req *r, struct worker *w);
void webhooks_redeliver(struct req *r, struct worker *w);

#endif
