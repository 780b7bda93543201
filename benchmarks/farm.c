/* A farm of model servers that cost next to nothing: COUNT addresses 127.1.x.y, one port, every request a 200.
 *
 *     farm PORT COUNT
 *
 * It notes when each address was asked. Commands on standard input, one a line:
 *     reset MICROSECONDS   forget what was noted; gaps are compared with this interval from now on
 *     report               requests, gaps, how far gaps were from the interval (p50, p99), the shortest and the longest
 *                          gap, in microseconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LISTENER, CONNECTION, COMMANDS };

struct peer {
    int kind, fd, target;
    size_t used;
    char head[4096];
};

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
                             "{\"status\":\"ok\"}";

static int64_t *last;
static int targets;
static uint32_t *deviations;
static size_t gaps, room;
static uint64_t requests;
static int64_t interval, shortest, longest;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void note(int target) {
    int64_t at = now();
    requests++;
    if (last[target] && interval) {
        if (gaps == room && !(deviations = realloc(deviations, (room = room ? room * 2 : 65536) * sizeof *deviations)))
            die("realloc");
        int64_t gap = at - last[target], off = gap - interval;
        if (!gaps || gap < shortest)
            shortest = gap;
        if (!gaps || gap > longest)
            longest = gap;
        deviations[gaps++] = (uint32_t)(off < 0 ? -off : off);
    }
    last[target] = at;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void command(char *line) {
    if (!strncmp(line, "reset ", 6)) {
        interval = atoll(line + 6);
        requests = gaps = 0;
        shortest = longest = interval;
        memset(last, 0, (size_t)targets * sizeof *last);
        puts("ok");
    } else if (!strncmp(line, "report", 6)) {
        qsort(deviations, gaps, sizeof *deviations, ascending);
        uint32_t p50 = gaps ? deviations[gaps / 2] : 0, p99 = gaps ? deviations[gaps * 99 / 100] : 0;
        printf("%llu %zu %u %u %lld %lld\n", (unsigned long long)requests, gaps, p50, p99, (long long)shortest,
               (long long)longest);
    }
    fflush(stdout);
}

static void drop(struct peer *peer) {
    close(peer->fd); /* leaves the epoll set with it */
    free(peer);
}

static void converse(struct peer *peer) {
    ssize_t got = read(peer->fd, peer->head + peer->used, sizeof peer->head - 1 - peer->used);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(peer);
        return;
    }
    peer->head[peer->used += (size_t)got] = 0;
    if (!strstr(peer->head, "\r\n\r\n")) {
        if (peer->used >= sizeof peer->head - 1)
            drop(peer);
        return;
    }
    note(peer->target);
    int last_one = strcasestr(peer->head, "\r\nconnection: close\r\n") != NULL;
    peer->used = 0;
    if (write(peer->fd, ANSWER, sizeof ANSWER - 1) != sizeof ANSWER - 1 || last_one)
        drop(peer);
}

int main(int count, char **words) {
    if (count != 3)
        return fprintf(stderr, "usage: farm PORT COUNT\n"), 2;
    targets = atoi(words[2]);
    last = calloc((size_t)targets, sizeof *last);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int epoll = epoll_create1(0);
    for (int i = -1; i < targets; i++) {
        struct peer *peer = calloc(1, sizeof *peer);
        peer->kind = i < 0 ? COMMANDS : LISTENER;
        peer->target = i;
        if (i >= 0) {
            struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
            address.sin_addr.s_addr = htonl(0x7f010000u + (uint32_t)(i / 250) * 256 + (uint32_t)(i % 250) + 1);
            int on = 1;
            peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            setsockopt(peer->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
            if (peer->fd < 0 || bind(peer->fd, (void *)&address, sizeof address) || listen(peer->fd, 64))
                die("listen");
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, peer->fd, &event))
            die("epoll_ctl");
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[256];
        int found = epoll_wait(epoll, ready, 256, -1);
        for (int i = 0; i < found; i++) {
            struct peer *peer = ready[i].data.ptr;
            if (peer->kind == LISTENER) {
                int fd = accept4(peer->fd, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0)
                    continue;
                int on = 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                struct peer *fresh = calloc(1, sizeof *fresh);
                fresh->kind = CONNECTION;
                fresh->fd = fd;
                fresh->target = peer->target;
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = fresh};
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
                    drop(fresh);
                else
                    converse(fresh); /* the request is often there already */
            } else if (peer->kind == CONNECTION) {
                converse(peer);
            } else {
                char line[128];
                ssize_t got = read(0, line, sizeof line - 1);
                if (got <= 0)
                    return 0; /* whoever started us is gone */
                line[got] = 0;
                command(line);
            }
        }
    }
}
