#include "base/trace.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/http.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/version.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RING = 2048,
    BATCH = 256,
    LINGER_MS = 500, /* how long a span waits for company */
    TRIES = 3,
    PAUSE_MS = 1000,
    GOODBYE_MS = 2000,
    HEADERS_MAX = 8,
};

static struct {
    bool on;
    char url[512], service[64];
    char header_text[HEADERS_MAX][512];
    const char *headers[HEADERS_MAX + 2];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    struct trace_span *ring; /* RING of them */
    int first, count;
    int64_t dropped;
    bool stopping;
    int64_t until_ms; /* mono; when stopping */
} out = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- one batch as JSON ---- */

static json_t *attribute(const char *key, const char *text, int64_t number)
{
    char digits[24];
    json_t *o = json_object(), *value = json_object();
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    json_put_str(o, "key", key);
    if (text[0])
        json_put(value, "stringValue", json_safe_string(text));
    else
        json_put_str(value, "intValue", digits); /* 64 bits are text in protobuf's JSON */
    json_put(o, "value", value);
    return o;
}

static void put_time(json_t *o, const char *key, int64_t us)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%lld000", (long long)us);
    json_put_str(o, key, digits);
}

static json_t *span_json(const struct trace_span *s)
{
    json_t *o = json_object(), *attributes = json_array();
    json_put_str(o, "traceId", s->trace_id);
    json_put_str(o, "spanId", s->span_id);
    if (s->parent_id[0])
        json_put_str(o, "parentSpanId", s->parent_id);
    if (s->state[0])
        json_put(o, "traceState", json_safe_string(s->state));
    json_put(o, "name", json_safe_string(s->name));
    json_put_int(o, "kind", s->kind);
    put_time(o, "startTimeUnixNano", s->start_us);
    put_time(o, "endTimeUnixNano", s->end_us > s->start_us ? s->end_us : s->start_us);
    for (int i = 0; i < s->attribute_count; i++)
        json_array_append_new(attributes,
                              attribute(s->attributes[i].key, s->attributes[i].text, s->attributes[i].number));
    json_put(o, "attributes", attributes);
    if (s->failed) {
        json_t *status = json_object();
        json_put_int(status, "code", 2);
        json_put(o, "status", status);
    }
    return o;
}

static json_t *list_of(json_t *one)
{
    json_t *list = json_array();
    json_array_append_new(list, one);
    return list;
}

static char *batch_text(const struct trace_span *spans, int count)
{
    json_t *list = json_array(), *scope = json_object(), *scope_spans = json_object(), *attributes = json_array();
    json_t *resource = json_object(), *resource_spans = json_object(), *all = json_object();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, span_json(&spans[i]));
    json_put_str(scope, "name", "longanim");
    json_put_str(scope, "version", LONGANIM_VERSION);
    json_put(scope_spans, "scope", scope);
    json_put(scope_spans, "spans", list);
    json_array_append_new(attributes, attribute("service.name", out.service, 0));
    json_array_append_new(attributes, attribute("service.version", LONGANIM_VERSION, 0));
    json_put(resource, "attributes", attributes);
    json_put(resource_spans, "resource", resource);
    json_put(resource_spans, "scopeSpans", list_of(scope_spans));
    json_put(all, "resourceSpans", list_of(resource_spans));
    char *text = json_text(all, false);
    json_decref(all);
    return text;
}

/* ---- the thread ---- */

/* 1 = taken or hopeless, 0 = worth another try. */
static int post_once(struct http *http, const char *text, struct err *e)
{
    struct http_response response;
    struct http_request r = {.method = "POST",
                             .url = out.url,
                             .headers = out.headers,
                             .body = text,
                             .body_size = strlen(text),
                             .connect_ms = 1000,
                             .total_ms = 5000,
                             .unreachable = ERR_overloaded};
    if (http_do(http, &r, &response, e) != 0)
        return 0;
    if (response.status >= 200 && response.status < 300)
        return 1;
    err_set(e, ERR_overloaded, "the collector answered %d", response.status);
    return response.status != 429 && response.status < 500;
}

static void post(struct http *http, const struct trace_span *spans, int count)
{
    char *text = batch_text(spans, count);
    struct err e = {0};
    int done = 0;
    for (int i = 0; i < TRIES && !done; i++) {
        e = (struct err){0};
        done = post_once(http, text, &e);
        pthread_mutex_lock(&out.lock);
        if (!done && !out.stopping)
            cond_wait_ms(&out.changed, &out.lock, (int64_t)PAUSE_MS << i);
        bool late = out.stopping && clock_mono_ms() >= out.until_ms;
        pthread_mutex_unlock(&out.lock);
        if (late)
            break;
    }
    if (e.code != ERR_none)
        log_err(LOG_WARN, "trace.not_sent", NULL, &e);
    free(text);
}

static int take_locked(struct trace_span *to)
{
    int taken = 0;
    for (; taken < BATCH && out.count > 0; taken++) {
        to[taken] = out.ring[out.first];
        out.first = (out.first + 1) % RING;
        out.count--;
    }
    return taken;
}

static void *export_spans(void *unused)
{
    struct http *http = http_new();
    struct trace_span *batch = calloc(BATCH, sizeof *batch);
    bool going = true;
    (void)unused;
    if (!batch)
        abort();
    while (going) {
        pthread_mutex_lock(&out.lock);
        while (out.count == 0 && !out.stopping)
            pthread_cond_wait(&out.changed, &out.lock);
        if (out.count < BATCH && !out.stopping)
            cond_wait_ms(&out.changed, &out.lock, LINGER_MS);
        int count = take_locked(batch);
        int64_t dropped = out.dropped;
        out.dropped = 0;
        going = !out.stopping || (out.count > 0 && clock_mono_ms() < out.until_ms);
        pthread_mutex_unlock(&out.lock);
        if (dropped > 0)
            log_event(LOG_WARN, "trace.dropped", "spans", "i", dropped, NULL);
        if (count > 0)
            post(http, batch, count);
    }
    free(batch);
    http_free(http);
    return NULL;
}

/* ---- life ---- */

static int set_headers(const char *text, struct err *e)
{
    int count = 0;
    out.headers[count++] = "Content-Type: application/json";
    for (const char *at = text ? text : ""; *at;) {
        size_t size = strcspn(at, ","), name = strcspn(at, "=");
        if (name >= size || size >= sizeof out.header_text[0] || count > HEADERS_MAX)
            return err_set_field(e, ERR_params_invalid, "OTEL_EXPORTER_OTLP_HEADERS",
                                 "give name=value, at most %d of them with commas between", HEADERS_MAX);
        char *line = out.header_text[count - 1];
        snprintf(line, sizeof out.header_text[0], "%.*s: %.*s", (int)name, at, (int)(size - name - 1), at + name + 1);
        out.headers[count++] = line;
        at += size + (at[size] == ',');
    }
    out.headers[count] = NULL;
    return 0;
}

int trace_start(const char *endpoint, const char *headers, const char *service, struct err *e)
{
    size_t size = strlen(endpoint);
    if (size == 0)
        return 0;
    while (size > 0 && endpoint[size - 1] == '/')
        size--;
    int n = snprintf(out.url, sizeof out.url, "%.*s/v1/traces", (int)size, endpoint);
    if ((strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0) || n >= (int)sizeof out.url)
        return err_set_field(e, ERR_params_invalid, "OTEL_EXPORTER_OTLP_ENDPOINT", "give http://host:port");
    if (set_headers(headers, e) != 0)
        return -1;
    snprintf(out.service, sizeof out.service, "%s", service);
    out.ring = calloc(RING, sizeof *out.ring);
    if (!out.ring)
        abort();
    cond_init(&out.changed);
    if (pthread_create(&out.thread, NULL, export_spans, NULL) != 0)
        abort(); /* nothing runs yet; there is no state to save */
    out.on = true;
    return 0;
}

void trace_stop(void)
{
    if (!out.on)
        return;
    pthread_mutex_lock(&out.lock);
    out.stopping = true;
    out.until_ms = clock_mono_ms() + GOODBYE_MS;
    pthread_cond_broadcast(&out.changed);
    pthread_mutex_unlock(&out.lock);
    pthread_join(out.thread, NULL);
    out.on = false;
    free(out.ring);
    out.ring = NULL;
}

bool trace_on(void)
{
    return out.on;
}

/* ---- spans ---- */

int64_t trace_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void trace_id_new(char id[33])
{
    id_random_hex(id, 16);
}

void trace_span_id_new(char id[17])
{
    id_random_hex(id, 8);
}

bool trace_parse(const char *traceparent, char trace_id[33], char span_id[17], bool *sampled)
{
    if (strlen(traceparent) != 55 || strncmp(traceparent, "00-", 3) != 0 || traceparent[35] != '-' ||
        traceparent[52] != '-')
        return false;
    memcpy(trace_id, traceparent + 3, 32);
    memcpy(span_id, traceparent + 36, 16);
    trace_id[32] = span_id[16] = '\0';
    *sampled = strtol(traceparent + 53, NULL, 16) & 1;
    return true;
}

static struct trace_attribute *add(struct trace_span *s, const char *key)
{
    if (s->attribute_count == TRACE_ATTRIBUTES_MAX)
        abort(); /* a mistake of ours */
    struct trace_attribute *a = &s->attributes[s->attribute_count++];
    *a = (struct trace_attribute){.key = key};
    return a;
}

void trace_text(struct trace_span *s, const char *key, const char *value)
{
    struct trace_attribute *a = add(s, key);
    text_clean(a->text, sizeof a->text, value);
}

void trace_int(struct trace_span *s, const char *key, int64_t value)
{
    add(s, key)->number = value;
}

void trace_emit(const struct trace_span *s)
{
    if (!out.on)
        return;
    pthread_mutex_lock(&out.lock);
    if (out.count == RING) {
        out.dropped++;
    } else {
        out.ring[(out.first + out.count++) % RING] = *s;
        if (out.count == 1 || out.count == BATCH)
            pthread_cond_signal(&out.changed);
    }
    pthread_mutex_unlock(&out.lock);
}
