/* A farm of model servers that cost next to nothing: COUNT addresses 127.1.x.y, one port, every request a 200.
 *
 *     farm PORT COUNT [CERTIFICATE KEY]
 *
 * With a certificate (and built with -DTLS -lssl -lcrypto) it speaks TLS. A path that begins with /events is answered
 * with twenty server-sent events, any other with a few bytes of JSON.
 *
 * It notes when each address was asked. Commands on standard input, one a line:
 *     reset MICROSECONDS   forget what was noted; gaps are compared with this interval from now on
 *     report               requests, gaps, how far gaps were from the interval (p50, p99), the shortest and the longest
 *                          gap, and when the first request came (CLOCK_MONOTONIC, 0: none did), all in microseconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
static SSL_CTX *context;
#else
typedef void SSL;
#endif

enum { LISTENER, CONNECTION, COMMANDS };

struct peer {
    int kind, fd, target;
    size_t used;
    SSL *tls;
    char *head; /* only connections have one */
};

enum { MAX_HEAD = 4096 };

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
                             "{\"status\":\"ok\"}";
static char events[4096];
static size_t events_size;

static int64_t *last;
static int targets;
static uint32_t *deviations;
static size_t gaps, room;
static uint64_t requests;
static int64_t interval, shortest, longest, first;

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
    if (!requests++)
        first = at;
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
        first = 0;
        shortest = longest = interval;
        memset(last, 0, (size_t)targets * sizeof *last);
        puts("ok");
    } else if (!strncmp(line, "report", 6)) {
        qsort(deviations, gaps, sizeof *deviations, ascending);
        uint32_t p50 = gaps ? deviations[gaps / 2] : 0, p99 = gaps ? deviations[gaps * 99 / 100] : 0;
        printf("%llu %zu %u %u %lld %lld %lld\n", (unsigned long long)requests, gaps, p50, p99, (long long)shortest,
               (long long)longest, (long long)first);
    }
    fflush(stdout);
}

static void drop(struct peer *peer) {
#ifdef TLS
    SSL_free(peer->tls);
#endif
    close(peer->fd); /* leaves the epoll set with it */
    free(peer->head);
    free(peer);
}

/* Bytes read; 0 or less at the end, AGAIN when there is nothing yet. */
enum { AGAIN = -2 };

static ssize_t take(struct peer *peer) {
    char *into = peer->head + peer->used;
    size_t room = MAX_HEAD - 1 - peer->used;
#ifdef TLS
    if (peer->tls) {
        int got = SSL_read(peer->tls, into, (int)room); /* shakes hands first */
        return got > 0 ? got : SSL_get_error(peer->tls, got) == SSL_ERROR_WANT_READ ? AGAIN : 0;
    }
#endif
    ssize_t got = read(peer->fd, into, room);
    return got < 0 && errno == EAGAIN ? AGAIN : got;
}

static int tell(struct peer *peer, const char *what, size_t size) {
#ifdef TLS
    if (peer->tls)
        return SSL_write(peer->tls, what, (int)size) == (int)size;
#endif
    return write(peer->fd, what, size) == (ssize_t)size;
}

static void converse(struct peer *peer) {
    ssize_t got = take(peer);
    if (got == AGAIN)
        return;
    if (got <= 0) {
        drop(peer);
        return;
    }
    peer->head[peer->used += (size_t)got] = 0;
    if (!strstr(peer->head, "\r\n\r\n")) {
        if (peer->used >= MAX_HEAD - 1)
            drop(peer);
        return;
    }
    note(peer->target);
    int last_one = strcasestr(peer->head, "\r\nconnection: close\r\n") != NULL;
    int streamed = !strncmp(peer->head, "GET /events", 11);
    peer->used = 0;
    if (!tell(peer, streamed ? events : ANSWER, streamed ? events_size : sizeof ANSWER - 1) || last_one)
        drop(peer);
}

static void write_events(void) {
    char body[2048];
    size_t size = 0;
    for (int i = 0; i < 20; i++)
        size += (size_t)sprintf(body + size, "data: {\"text\":\"word %d\"}\n\n", i);
    events_size = (size_t)sprintf(
        events, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %zu\r\n\r\n%s", size, body);
}

static void prepare_tls(char **words) {
#ifdef TLS
    context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_file(context, words[3], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, words[4], SSL_FILETYPE_PEM) != 1)
        die("certificate");
    SSL_CTX_set_num_tickets(context, 0); /* nobody comes back with one */
#else
    (void)words;
    fprintf(stderr, "farm: built without TLS\n");
    exit(2);
#endif
}

int main(int count, char **words) {
    if (count != 3 && count != 5)
        return fprintf(stderr, "usage: farm PORT COUNT [CERTIFICATE KEY]\n"), 2;
    targets = atoi(words[2]);
    signal(SIGPIPE, SIG_IGN); /* who hangs up early is no reason to end */
    write_events();
    if (count == 5)
        prepare_tls(words);
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
                fresh->head = malloc(MAX_HEAD);
#ifdef TLS
                if (context) {
                    fresh->tls = SSL_new(context);
                    SSL_set_fd(fresh->tls, fd);
                    SSL_set_accept_state(fresh->tls);
                }
#endif
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
