/* config_table.h - the list of settings; included by config.h and config.c with the macros defined. One row each:
 * field, environment name, flag, default, [min, max, | choices "a|b|c",] programs that read it, meaning. An empty
 * default of a string means "not set". */
#ifndef CONFIG_STR
#define CONFIG_STR(...)
#endif
#ifndef CONFIG_WORD
#define CONFIG_WORD(...)
#endif
#ifndef CONFIG_INT
#define CONFIG_INT(...)
#endif
#ifndef CONFIG_PIXELS
#define CONFIG_PIXELS(...)
#endif
/* clang-format off */
CONFIG_STR(config, "LONGANIM_CONFIG", "--config", "", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL | CONFIG_REMOTE | CONFIG_AUDIT, "file of settings, one NAME=value a line")
CONFIG_STR(listen, "LONGANIM_LISTEN", "--listen", "127.0.0.1:8080", CONFIG_API | CONFIG_SERVE, "address of the API, host:port; port 0 = any")
CONFIG_STR(ops_listen, "LONGANIM_OPS_LISTEN", "--ops-listen", "127.0.0.1:8081", CONFIG_API | CONFIG_SERVE, "address of /livez /readyz /metrics /drain /scale")
CONFIG_STR(redis, "LONGANIM_REDIS", "--redis", "", CONFIG_API | CONFIG_WORKER | CONFIG_AUDIT, "redis://[user:pass@]host:port/db or unix:/path")
CONFIG_STR(store, "LONGANIM_STORE", "--store", "", CONFIG_API | CONFIG_WORKER | CONFIG_AUDIT, "file:/dir or s3://bucket/prefix?endpoint=URL&region=R")
CONFIG_STR(data, "LONGANIM_DATA", "--data", "", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_AUDIT, "folder for address files, scratch space and the embedded Redis and store")
CONFIG_STR(models, "LONGANIM_MODELS", "--models", "", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "name=dir[,name=dir...]; the first is the default; not set: the shipped model")
CONFIG_STR(device, "LONGANIM_DEVICE", "--device", "auto", CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "cpu, cuda, cuda:N or auto")
CONFIG_WORD(dtype, "LONGANIM_DTYPE", "--dtype", "auto", "auto|f32|bf16", CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "type that the networks compute in; auto: f32 on a CPU, bf16 on a GPU")
CONFIG_INT(vram_budget, "LONGANIM_VRAM_BUDGET", "--vram-budget", 0, 0, INT64_MAX, CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "bytes of device memory to stay within; 0 = all")
CONFIG_INT(threads, "LONGANIM_THREADS", "--threads", 0, 0, 1024, CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "CPU threads of the networks; 0 = one per core")
CONFIG_STR(keys, "LONGANIM_KEYS", "--keys", "", CONFIG_API | CONFIG_SERVE, "file of API keys; not set: answers only on loopback")
CONFIG_INT(rate_per_minute, "LONGANIM_RATE_PER_MINUTE", "", 6000, 0, 1000000000, CONFIG_API | CONFIG_SERVE, "requests of one key per minute; 0 = no limit; never without keys")
CONFIG_WORD(access_log, "LONGANIM_ACCESS_LOG", "", "changes", "all|changes|none", CONFIG_API | CONFIG_SERVE, "requests that get a line in the log; changes: what is not only read, what fails on our side, what takes a second")
CONFIG_STR(cors_origins, "LONGANIM_CORS_ORIGINS", "", "", CONFIG_API | CONFIG_SERVE, "origins whose pages may read answers, comma-separated; not set: none")
CONFIG_INT(header_ms, "LONGANIM_HEADER_MS", "", 20000, 100, 30000, CONFIG_API | CONFIG_SERVE, "how long a connection may be idle or send its header")
CONFIG_INT(body_window_ms, "LONGANIM_BODY_WINDOW_MS", "", 30000, 100, 60000, CONFIG_API | CONFIG_SERVE, "time over which a body must come at 16 kB/s or more")
CONFIG_STR(worker_id, "LONGANIM_WORKER_ID", "--worker-id", "", CONFIG_WORKER, "name of this worker; not set: host and process")
CONFIG_STR(pools, "LONGANIM_POOLS", "--pools", "", CONFIG_WORKER, "pools to serve, comma-separated; not set: one per model")
CONFIG_INT(lease_ms, "LONGANIM_LEASE_MS", "", 30000, 200, 3600000, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_AUDIT, "how long a claim holds without a heartbeat")
CONFIG_INT(beat_ms, "LONGANIM_BEAT_MS", "", 5000, 50, 600000, CONFIG_WORKER | CONFIG_SERVE, "time between heartbeats")
CONFIG_INT(stall_ms, "LONGANIM_STALL_MS", "", 600000, 1000, 86400000, CONFIG_WORKER | CONFIG_SERVE, "kill the engine when it makes no progress for so long")
CONFIG_INT(drain_ms, "LONGANIM_DRAIN_MS", "", 10000, 0, 86400000, CONFIG_WORKER | CONFIG_SERVE, "on SIGTERM, how long a worker waits for the segment at hand before it gives the job back")
CONFIG_INT(max_attempts, "LONGANIM_MAX_ATTEMPTS", "", 3, 1, 100, CONFIG_API | CONFIG_SERVE, "tries of a job whose failure is ours")
CONFIG_INT(retry_base_ms, "LONGANIM_RETRY_BASE_MS", "", 5000, 1, 3600000, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_AUDIT, "backoff: random up to base * 2^n")
CONFIG_INT(max_upload_bytes, "LONGANIM_MAX_UPLOAD_BYTES", "", 2147483648, 1024, INT64_MAX, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "largest upload")
CONFIG_PIXELS(max_pixels, "LONGANIM_MAX_PIXELS", "", 16777216, 256, 268435456, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "largest video frame, WxH or a number of pixels")
CONFIG_INT(max_frames, "LONGANIM_MAX_FRAMES", "", 5000, 1, 10000000, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "longest video in frames")
CONFIG_INT(max_seconds, "LONGANIM_MAX_SECONDS", "", 600, 1, 1000000, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL, "longest video in seconds")
CONFIG_INT(max_queued, "LONGANIM_MAX_QUEUED", "", 100000, 1, INT64_MAX, CONFIG_API | CONFIG_SERVE, "queued jobs of one key; more are refused")
CONFIG_INT(max_running, "LONGANIM_MAX_RUNNING", "", 0, 0, INT64_MAX, CONFIG_API | CONFIG_SERVE, "jobs of one key at once, more wait in the queue; 0 = no limit; never without keys")
CONFIG_INT(max_stored_bytes, "LONGANIM_MAX_STORED_BYTES", "", 0, 0, INT64_MAX, CONFIG_API | CONFIG_SERVE, "bytes of inputs, segments, results and uploads of one key; 0 = no limit; never without keys")
CONFIG_INT(max_streams, "LONGANIM_MAX_STREAMS", "", 1000, 0, 1000000, CONFIG_API | CONFIG_SERVE, "event streams of one key at once, at each api; 0 = no limit; never without keys")
CONFIG_STR(output_to, "LONGANIM_OUTPUT_TO", "", "", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE, "where jobs may have results sent (output.to): s3://bucket/prefix?endpoint=URL&region=R[,...]; {key} = the caller's key; not set: nowhere")
CONFIG_INT(max_connections_per_address, "LONGANIM_MAX_CONNECTIONS_PER_ADDRESS", "", 1000, 0, 1000000, CONFIG_API | CONFIG_SERVE, "connections of one client address at once; 0 = no limit (behind a proxy); never without keys")
CONFIG_INT(max_uploads_per_address, "LONGANIM_MAX_UPLOADS_PER_ADDRESS", "", 100, 0, 1000000, CONFIG_API | CONFIG_SERVE, "request bodies of one client address at once; 0 = no limit (behind a proxy); never without keys")
CONFIG_INT(sweep_ms, "LONGANIM_SWEEP_MS", "", 60000, 50, INT64_MAX, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE, "time between sweeps of temporary files and unreferenced objects")
CONFIG_INT(sweep_age_ms, "LONGANIM_SWEEP_AGE_MS", "", 3600000, 50, INT64_MAX, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_AUDIT, "what a sweep leaves alone because it is younger")
CONFIG_INT(upload_age_ms, "LONGANIM_UPLOAD_AGE_MS", "", 86400000, 1000, INT64_MAX, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE, "how long a resumable upload may be continued and used")
CONFIG_INT(retention_ms, "LONGANIM_RETENTION_MS", "", 2592000000, 1000, INT64_MAX, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_AUDIT, "how long ended jobs and their results are kept")
CONFIG_INT(webhook_allow_private, "LONGANIM_WEBHOOK_ALLOW_PRIVATE", "", 0, 0, 1, CONFIG_API | CONFIG_SERVE, "1 = webhooks may go to loopback and private addresses (tests)")
CONFIG_STR(server, "LONGANIM_SERVER", "--server", "http://127.0.0.1:8080", CONFIG_REMOTE, "the API that submit, watch, get and the like talk to; its key comes from LONGANIM_API_KEY")
CONFIG_WORD(log_level, "LONGANIM_LOG", "--log", "info", "debug|info|warn|error", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_PROBE | CONFIG_TOOL | CONFIG_REMOTE | CONFIG_AUDIT, "least important lines that are written")
CONFIG_STR(fault, "LONGANIM_FAULT", "", "", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE, "for tests: point:die|stall|error[:nth][@file], a named point at which the program is to break")
CONFIG_INT(fault_enable, "LONGANIM_FAULT_ENABLE", "", 0, 0, 1, CONFIG_API | CONFIG_WORKER | CONFIG_SERVE, "1 = LONGANIM_FAULT may be set; without it nothing starts with a fault")
CONFIG_STR(otlp_endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT", "", "", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE, "http://host:port of an OpenTelemetry collector that takes OTLP over HTTP; not set: no traces; OTEL_EXPORTER_OTLP_HEADERS (name=value,...) goes along")
CONFIG_STR(alive_file, "LONGANIM_ALIVE_FILE", "", "", CONFIG_API | CONFIG_WORKER, "file whose time is renewed every ten seconds while the program is well, for probes that know files only")
CONFIG_STR(notify_socket, "NOTIFY_SOCKET", "", "", CONFIG_API | CONFIG_WORKER, "set by systemd: where readiness and signs of life are told")
CONFIG_INT(watchdog_us, "WATCHDOG_USEC", "", 0, 0, INT64_MAX, CONFIG_API | CONFIG_WORKER, "set by systemd: a sign of life is expected this often, in microseconds")
CONFIG_STR(tmpdir, "TMPDIR", "", "/tmp", CONFIG_API | CONFIG_WORKER | CONFIG_SERVE | CONFIG_TOOL | CONFIG_PROBE, "folder for scratch files")
/* clang-format on */
#undef CONFIG_STR
#undef CONFIG_WORD
#undef CONFIG_INT
#undef CONFIG_PIXELS
