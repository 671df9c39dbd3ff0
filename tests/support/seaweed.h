/* seaweed.h - a real S3 server (SeaweedFS, from tools/requirements.txt) of a test's own, on loopback ports chosen by
 * the kernel. Signatures are checked by it. */
#ifndef LONGANIM_TESTS_SEAWEED_H
#define LONGANIM_TESTS_SEAWEED_H

#include "tests/support/scratch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEAWEED_ACCESS "AKIDEXAMPLE"
#define SEAWEED_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

enum { SEAWEED_PORTS = 8 };

struct seaweed {
    char folder[128];
    int port;
    pid_t pid;
};

static inline int seaweed_ports(int out[SEAWEED_PORTS])
{
    int fds[SEAWEED_PORTS], result = 0;
    for (int i = 0; i < SEAWEED_PORTS; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof a;
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(fds[i], (struct sockaddr *)&a, size) != 0 || getsockname(fds[i], (struct sockaddr *)&a, &size) != 0)
            result = -1;
        out[i] = ntohs(a.sin_port);
    }
    for (int i = 0; i < SEAWEED_PORTS; i++)
        close(fds[i]);
    return result;
}

static inline int seaweed_answers(int port)
{
    static const char ask[] = "GET /healthz HTTP/1.0\r\n\r\n";
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) > 0 &&
             recv(fd, answer, sizeof answer - 1, 0) > 0 && strstr(answer, " 200") != NULL;
    close(fd);
    return up;
}

/* The program: SEAWEED, or in the environment that tools/setup makes. NULL = not installed. */
static inline const char *seaweed_program(void)
{
    const char *program = getenv("SEAWEED");
    if (!program)
        program = ".deps/venv/bin/weed";
    return access(program, X_OK) == 0 ? program : NULL;
}

static inline int seaweed_write_keys(const struct seaweed *s)
{
    char path[160];
    snprintf(path, sizeof path, "%s/keys.json", s->folder);
    FILE *file = fopen(path, "w");
    if (!file)
        return -1;
    fprintf(file,
            "{\"identities\":[{\"name\":\"test\",\"credentials\":[{\"accessKey\":\"%s\",\"secretKey\":\"%s\"}],"
            "\"actions\":[\"Admin\",\"Read\",\"Write\",\"List\"]}]}",
            SEAWEED_ACCESS, SEAWEED_SECRET);
    return fclose(file);
}

static inline void seaweed_exec(const struct seaweed *s, const char *program, const int ports[SEAWEED_PORTS])
{
    static const char *const names[SEAWEED_PORTS] = {"s3.port",          "s3.port.grpc",   "master.port",
                                                     "master.port.grpc", "volume.port",    "volume.port.grpc",
                                                     "filer.port",       "filer.port.grpc"};
    char flags[SEAWEED_PORTS][64], dir[160], keys[160];
    const char *arguments[32] = {program,
                                 "server",
                                 "-ip=127.0.0.1",
                                 "-ip.bind=127.0.0.1",
                                 "-filer",
                                 "-s3",
                                 "-s3.iam=false",
                                 "-s3.port.iceberg=0",
                                 "-master.telemetry=false",
                                 "-master.volumeSizeLimitMB=64",
                                 "-volume.max=8"};
    int count = 11;
    for (int i = 0; i < SEAWEED_PORTS; i++) {
        snprintf(flags[i], sizeof flags[i], "-%s=%d", names[i], ports[i]);
        arguments[count++] = flags[i];
    }
    snprintf(dir, sizeof dir, "-dir=%s", s->folder);
    snprintf(keys, sizeof keys, "-s3.config=%s/keys.json", s->folder);
    arguments[count++] = dir;
    arguments[count++] = keys;
    int log = open("/dev/null", O_WRONLY);
    dup2(log, 1);
    dup2(log, 2);
    setenv("GOMAXPROCS", "2", 1);
    execv(program, (char *const *)arguments);
    _exit(127);
}

static inline int seaweed_start(struct seaweed *s)
{
    int ports[SEAWEED_PORTS];
    const char *program = seaweed_program();
    if (!program || make_fast_scratch(s->folder, sizeof s->folder) != 0 || seaweed_write_keys(s) != 0 ||
        seaweed_ports(ports) != 0)
        return -1;
    s->port = ports[0];
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            seaweed_exec(s, program, ports);
        _exit(127);
    }
    for (int i = 0; i < 600; i++) {
        if (seaweed_answers(s->port))
            return 0;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
            return -1;
        poll(NULL, 0, 50);
    }
    return -1;
}

static inline void seaweed_stop(struct seaweed *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", s->folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

#endif
