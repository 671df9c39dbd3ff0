/* err.h - the list of errors, and the struct in which they travel.
 *
 * A function that can fail returns 0 or -1 and takes `struct err *` last. On failure it has filled the
 * struct and left its out-parameters as they were. `struct err *` may be NULL where the caller does not care.
 * Threads: a struct err belongs to whoever declared it. No allocation, so it also works when memory is out.
 * Source of codes and classes: the error catalogue of the HTTP contract (openapi.yaml, docs/errors.md). */
#ifndef LONGANIM_BASE_ERR_H
#define LONGANIM_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* Who is to blame, which decides whether a job is tried again. */
enum err_class {
    ERR_CLASS_CLIENT,    /* the request; never retried */
    ERR_CLASS_RETRY,     /* the request was fine; the same request may work later */
    ERR_CLASS_MEDIA,     /* the uploaded files; never retried */
    ERR_CLASS_TRANSIENT, /* us, for now: the job waits with backoff and an attempt is counted */
    ERR_CLASS_STORAGE,   /* the store is away or full: waits without using up attempts */
    ERR_CLASS_OOM,       /* one retry with the low-memory profile */
    ERR_CLASS_FATAL,     /* us, for good: fails at once */
};

/* code, HTTP status, class, title */
#define ERR_TABLE(X)                                                                                                   \
    X(bad_request, 400, CLIENT, "The request is malformed")                                                            \
    X(bad_header, 400, CLIENT, "A header is malformed")                                                                \
    X(ambiguous_framing, 400, CLIENT, "The message framing is ambiguous")                                              \
    X(multipart_malformed, 400, CLIENT, "The multipart body is malformed")                                             \
    X(multipart_truncated, 400, CLIENT, "The multipart body ends early")                                               \
    X(part_missing, 422, CLIENT, "A required part is missing")                                                         \
    X(part_duplicate, 422, CLIENT, "A part was given twice")                                                           \
    X(part_unknown, 422, CLIENT, "A part is not known")                                                                \
    X(too_many_parts, 422, CLIENT, "There are too many parts")                                                         \
    X(unauthenticated, 401, CLIENT, "An API key is required")                                                          \
    X(key_expired, 401, CLIENT, "The API key has expired")                                                             \
    X(forbidden_scope, 403, CLIENT, "The API key does not allow this")                                                 \
    X(job_not_found, 404, CLIENT, "No such job")                                                                       \
    X(upload_not_found, 404, CLIENT, "No such upload")                                                                 \
    X(route_not_found, 404, CLIENT, "No such resource")                                                                \
    X(artifact_not_found, 404, CLIENT, "No such file of this job")                                                     \
    X(segment_not_found, 404, CLIENT, "No such segment")                                                               \
    X(webhook_not_found, 404, CLIENT, "No such webhook")                                                               \
    X(pool_not_found, 404, CLIENT, "No such pool")                                                                     \
    X(key_not_found, 404, CLIENT, "No such key")                                                                       \
    X(method_not_allowed, 405, CLIENT, "The method is not allowed here")                                               \
    X(not_acceptable, 406, CLIENT, "No representation is acceptable")                                                  \
    X(request_timeout, 408, RETRY, "The request took too long")                                                        \
    X(idempotency_in_progress, 409, RETRY, "The first request with this key is still running")                         \
    X(job_not_terminal, 409, RETRY, "The job has not ended yet")                                                       \
    X(job_not_failed, 409, CLIENT, "The job has not failed")                                                           \
    X(job_has_no_result, 409, CLIENT, "The job ended without a result")                                                \
    X(result_not_ready, 409, RETRY, "The result is not ready")                                                         \
    X(key_exists, 409, CLIENT, "There is a key with this id")                                                          \
    X(key_not_changeable, 409, CLIENT, "This key cannot be changed")                                                   \
    X(upload_offset_conflict, 409, RETRY, "The upload offset does not match")                                          \
    X(job_purged, 410, CLIENT, "The job was deleted")                                                                  \
    X(upload_expired, 410, CLIENT, "The upload has expired")                                                           \
    X(length_required, 411, CLIENT, "A content length is required")                                                    \
    X(precondition_failed, 412, CLIENT, "A precondition does not hold")                                                \
    X(payload_too_large, 413, CLIENT, "The body is too large")                                                         \
    X(uri_too_long, 414, CLIENT, "The request target is too long")                                                     \
    X(unsupported_media_type, 415, CLIENT, "The content type is not supported")                                        \
    X(media_container_refused, 415, MEDIA, "The file format is not accepted")                                          \
    X(media_codec_refused, 415, MEDIA, "The codec is not accepted")                                                    \
    X(range_not_satisfiable, 416, CLIENT, "The range cannot be satisfied")                                             \
    X(header_too_large, 431, CLIENT, "The headers are too large")                                                      \
    X(media_unreadable, 422, MEDIA, "The file cannot be read")                                                         \
    X(media_truncated, 422, MEDIA, "The file ends early")                                                              \
    X(media_no_video, 422, MEDIA, "The file has no video")                                                             \
    X(media_too_many_pixels, 422, MEDIA, "The picture is too large")                                                   \
    X(media_too_many_frames, 422, MEDIA, "The video has too many frames")                                              \
    X(media_too_long, 422, MEDIA, "The video is too long")                                                             \
    X(media_too_many_streams, 422, MEDIA, "The file has too many streams")                                             \
    X(media_decode_timeout, 422, MEDIA, "Decoding takes too long")                                                     \
    X(media_decode_memory, 422, MEDIA, "Decoding takes too much memory")                                               \
    X(media_hash_mismatch, 422, MEDIA, "The content digest does not match")                                            \
    X(params_invalid, 422, CLIENT, "A parameter is invalid")                                                           \
    X(model_unknown, 422, CLIENT, "No such model")                                                                     \
    X(idempotency_key_reused, 422, CLIENT, "The idempotency key was used for another request")                         \
    X(rate_limited, 429, RETRY, "Too many requests")                                                                   \
    X(quota_queued, 429, RETRY, "Too many queued jobs")                                                                \
    X(quota_running, 429, RETRY, "Too many running jobs")                                                              \
    X(quota_storage, 429, RETRY, "The storage quota is used up")                                                       \
    X(internal, 500, TRANSIENT, "Something went wrong on our side")                                                    \
    X(dependency_redis, 503, TRANSIENT, "The queue is not reachable")                                                  \
    X(dependency_storage, 503, STORAGE, "The store is not reachable")                                                  \
    X(overloaded, 503, RETRY, "The service is overloaded")                                                             \
    X(draining, 503, RETRY, "The service is shutting down")                                                            \
    X(storage_full, 507, STORAGE, "The store is full")                                                                 \
    /* only in the `error` of a job */                                                                                 \
    X(gpu_oom, 500, OOM, "The device is out of memory")                                                                \
    X(gpu_fault, 500, TRANSIENT, "The device failed")                                                                  \
    X(model_error, 500, FATAL, "The model cannot run this")                                                            \
    X(nan_output, 500, TRANSIENT, "The model produced no numbers")                                                     \
    X(encode_failed, 500, TRANSIENT, "The result cannot be encoded")                                                   \
    X(worker_lost, 500, TRANSIENT, "The worker was lost")                                                              \
    X(poison, 500, FATAL, "The job took down its worker too often")                                                    \
    X(deadline_exceeded, 500, FATAL, "The deadline has passed")                                                        \
    X(storage_unavailable, 503, STORAGE, "The store is not reachable")                                                 \
    X(canceled_by_user, 500, CLIENT, "Canceled by the user")                                                           \
    X(canceled_by_deadline, 500, CLIENT, "Canceled because its deadline passed")

enum err_code {
    ERR_none = 0,
#define ERR_ENUM(code, status, class, title) ERR_##code,
    ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
        ERR_COUNT
};

struct err {
    enum err_code code;
    char field[96];   /* the part, parameter or header that is wrong, as a JSON pointer or name; "" = none */
    char detail[400]; /* one sentence for the person who reads it; UTF-8 without control characters */
};

/* One row of the table. Borrowed, static. ERR_none has name "none". */
struct err_info {
    const char *name;
    int http_status;
    enum err_class class;
    const char *title;
};

const struct err_info *err_info(enum err_code code);

/* The code of that name, or ERR_none. */
enum err_code err_by_name(const char *name);

/* May the same job or request be tried again? (classes RETRY, TRANSIENT, STORAGE, OOM) */
bool err_retryable(enum err_code code);

/* Fills `e` (NULL is fine) and returns -1, so that a failing function can end in `return err_set(...)`.
 * Control characters and broken UTF-8 in the formatted detail are replaced. */
int err_set(struct err *e, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with the name of the field that is wrong. */
int err_set_field(struct err *e, enum err_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
