#include "transport/handshake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "transport/head.h"

enum {
    READ_SIZE = 4096,
    HEAD_CAPACITY_MIN = 1024,
    LINGER_MS = 2000,              /* for the peer to take its answer and to end */
    LINGER_SIZE_MAX = 1024 * 1024, /* bytes of it that are read meanwhile */
    LINGER_READS_A_TURN = 8,
    STATUS_DIGITS = 3,
    TROUBLE_SIZE_MAX = 128
};

struct handshake {
    struct handshakes *all;
    struct handshake *before; /* in its line */
    struct handshake *behind;
    uv_poll_t poll; /* its data is this */
    int socket;
    struct address *address;
    uint64_t since_ms; /* when it came into its line */
    bool lingers;      /* it has its answer */
    size_t n_dropped;  /* bytes behind the head, while it lingers */
    struct head_lines lines;
    char *head;
    size_t head_len;
    size_t head_capacity;
};

/* All of a line wait for the same time, so the oldest is the first that is due. */
struct line {
    struct handshake *first;
    struct handshake *last;
    size_t n;
};

struct handshakes {
    struct loop *loop;
    struct handshake_options options;
    struct addresses *addresses;
    const struct handshake_events *events;
    void *ctx;
    struct line reading;
    struct line lingering;
};

static const struct http_answer too_large = {"431 Request Header Fields Too Large",
                                             HTTP_PLAIN_HEADERS,
                                             "The head of the request is too large.\n"};
static const struct http_answer broken = {"400 Bad Request", HTTP_PLAIN_HEADERS,
                                          "A byte stands in the head that may not.\n"};
static const struct http_answer cut_short = {"400 Bad Request", HTTP_PLAIN_HEADERS,
                                             "The head of the request has no end.\n"};
static const struct http_answer too_slow = {"408 Request Timeout", HTTP_PLAIN_HEADERS,
                                            "The head of the request did not come in time.\n"};
static const struct http_answer alive = {"200 OK", HTTP_PLAIN_HEADERS, "alive\n"};
static const struct http_answer ready = {"200 OK", HTTP_PLAIN_HEADERS, "ready\n"};

/* ---- lines ---- */

static struct line *line_of(struct handshake *handshake)
{
    struct handshakes *all = handshake->all;
    return handshake->lingers ? &all->lingering : &all->reading;
}

static void enter_line(struct handshake *handshake)
{
    struct line *line = line_of(handshake);
    handshake->since_ms = loop_now_ms(handshake->all->loop);
    handshake->before = line->last;
    handshake->behind = NULL;
    *(line->last != NULL ? &line->last->behind : &line->first) = handshake;
    line->last = handshake;
    line->n++;
}

static void leave_line(struct handshake *handshake)
{
    struct line *line = line_of(handshake);
    struct handshake *before = handshake->before;
    struct handshake *behind = handshake->behind;
    *(before != NULL ? &before->behind : &line->first) = behind;
    *(behind != NULL ? &behind->before : &line->last) = before;
    line->n--;
}

/* ---- ends ---- */

static void poll_closed(uv_handle_t *handle)
{
    struct handshake *handshake = handle->data;
    free(handshake->head);
    free(handshake);
}

/* The loop forgets the socket, which stays open; 'handshake' is freed in a later turn. */
static void detach(struct handshake *handshake)
{
    leave_line(handshake);
    uv_close((uv_handle_t *)&handshake->poll, poll_closed);
}

static void end(struct handshake *handshake)
{
    struct handshakes *all = handshake->all;
    detach(handshake);
    close(handshake->socket);
    if (handshake->address != NULL) {
        addresses_leave(all->addresses, handshake->address);
    }
}

static void forget_head(struct handshake *handshake)
{
    free(handshake->head);
    handshake->head = NULL;
}

/* The first bytes that a connection gets: the kernel has room for them. */
static void answer(struct handshake *handshake, const struct http_answer *what, bool without_body)
{
    char text[HTTP_ANSWER_SIZE_MAX];
    size_t len = http_answer_write(what, without_body, text);
    (void)send(handshake->socket, text, len, MSG_NOSIGNAL);
    (void)shutdown(handshake->socket, SHUT_WR);
    forget_head(handshake);
    leave_line(handshake);
    handshake->lingers = true;
    enter_line(handshake);
}

static void refuse(struct handshake *handshake, const struct http_answer *what, bool without_body)
{
    char reason[HTTP_ANSWER_SIZE_MAX];
    snprintf(reason, sizeof reason, "%.*s", (int)strcspn(what->text, "\n"), what->text);
    log_line(LOG_INFO, "handshake_refused", "status=%.*s reason=%s", STATUS_DIGITS, what->status,
             log_value(reason));
    answer(handshake, what, without_body);
}

/* ---- what the head asks for ---- */

static void answer_ready(struct handshake *handshake, bool without_body)
{
    const char *trouble = handshake->all->events->trouble(handshake->all->ctx);
    if (trouble == NULL) {
        answer(handshake, &ready, without_body);
        return;
    }
    char text[TROUBLE_SIZE_MAX];
    snprintf(text, sizeof text, "not ready: %s\n", trouble);
    const struct http_answer not_ready = {"503 Service Unavailable", HTTP_PLAIN_HEADERS, text};
    answer(handshake, &not_ready, without_body);
}

static void upgrade(struct handshake *handshake, struct str key)
{
    struct handshakes *all = handshake->all;
    const struct http_answer *refusal = all->events->refuses(all->ctx, handshake->address);
    if (refusal != NULL) {
        refuse(handshake, refusal, false);
        return;
    }
    detach(handshake);
    all->events->upgrades(all->ctx, handshake->socket, handshake->address, key);
}

static void obey(struct handshake *handshake)
{
    struct head head;
    head_judge((struct str){handshake->head, handshake->head_len}, &head);
    switch (head.asks) {
    case HEAD_ASKS_UPGRADE:
        upgrade(handshake, (struct str){head.key, HEAD_KEY_SIZE});
        break;
    case HEAD_ASKS_HEALTH:
        answer(handshake, &alive, head.without_body);
        break;
    case HEAD_ASKS_READY:
        answer_ready(handshake, head.without_body);
        break;
    case HEAD_IS_REFUSED:
        refuse(handshake, head.refusal, head.without_body);
        break;
    }
}

/* ---- reading ---- */

static bool nothing_yet(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static void keep(struct handshake *handshake, const char *bytes, size_t n)
{
    size_t needed = handshake->head_len + n;
    if (needed > handshake->head_capacity) {
        size_t capacity = handshake->head_capacity * 2;
        size_t size_max = handshake->all->options.head_size_max;
        capacity = capacity < HEAD_CAPACITY_MIN ? HEAD_CAPACITY_MIN : capacity;
        capacity = capacity < needed ? needed : capacity;
        handshake->head_capacity = capacity > size_max ? size_max : capacity;
        handshake->head = mem_realloc(handshake->head, handshake->head_capacity);
    }
    memcpy(handshake->head + handshake->head_len, bytes, n);
    handshake->head_len = needed;
}

/* Read up to 'size' bytes, but none behind the head's end. Looks first, since what stands behind
 * the head is for another reader; and judges what it then has read, since a peer that marks
 * bytes as urgent can change what a second look sees. */
static ssize_t read_some(struct handshake *handshake, char *bytes, size_t size,
                         enum head_progress *progress)
{
    struct head_lines lines = handshake->lines;
    size_t n_taken = 0;
    ssize_t n = recvfrom(handshake->socket, bytes, size, MSG_PEEK, NULL, NULL);
    if (n <= 0) {
        return n;
    }
    (void)head_follow(&lines, (struct str){bytes, (size_t)n}, &n_taken);
    n = recvfrom(handshake->socket, bytes, n_taken, 0, NULL, NULL);
    if (n <= 0) {
        return n;
    }
    *progress = head_follow(&handshake->lines, (struct str){bytes, (size_t)n}, &n_taken);
    if (n_taken != (size_t)n) {
        *progress = HEAD_BROKEN;
    }
    return n;
}

static void read_head(struct handshake *handshake)
{
    char bytes[READ_SIZE];
    enum head_progress progress = HEAD_MORE;
    size_t room = handshake->all->options.head_size_max - handshake->head_len;
    /* One byte more than it may have shows that it is too large. */
    size_t size = room < sizeof bytes ? room + 1 : sizeof bytes;
    ssize_t n = read_some(handshake, bytes, size, &progress);
    if (nothing_yet(n)) {
        return;
    }
    if (n == 0 && handshake->head_len > 0) {
        refuse(handshake, &cut_short, false);
    } else if (n <= 0) {
        end(handshake);
    } else if ((size_t)n > room) {
        refuse(handshake, &too_large, false);
    } else if (progress == HEAD_BROKEN) {
        refuse(handshake, &broken, false);
    } else {
        keep(handshake, bytes, (size_t)n);
        if (progress == HEAD_END) {
            obey(handshake);
        }
    }
}

static void drop(struct handshake *handshake)
{
    char bytes[READ_SIZE];
    for (int i = 0; i < LINGER_READS_A_TURN; i++) {
        ssize_t n = recvfrom(handshake->socket, bytes, sizeof bytes, 0, NULL, NULL);
        if (nothing_yet(n)) {
            return;
        }
        if (n > 0) {
            handshake->n_dropped += (size_t)n;
        }
        if (n <= 0 || handshake->n_dropped > LINGER_SIZE_MAX) {
            end(handshake);
            return;
        }
    }
}

static void readable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* a read says so, too */
    (void)events;
    struct handshake *handshake = poll->data;
    if (handshake->lingers) {
        drop(handshake);
    } else {
        read_head(handshake);
    }
}

/* ---- all of them ---- */

struct handshakes *handshakes_create(struct loop *loop, const struct handshake_options *options,
                                     struct addresses *addresses,
                                     const struct handshake_events *events, void *ctx)
{
    struct handshakes *handshakes = mem_alloc(sizeof *handshakes);
    handshakes->loop = loop;
    handshakes->options = *options;
    handshakes->addresses = addresses;
    handshakes->events = events;
    handshakes->ctx = ctx;
    return handshakes;
}

void handshakes_destroy(struct handshakes *handshakes)
{
    if (handshakes == NULL) {
        return;
    }
    while (handshakes_end_oldest(handshakes, NULL)) {
    }
    free(handshakes);
}

void handshakes_begin(struct handshakes *handshakes, int socket, struct address *address)
{
    struct handshake *handshake = mem_alloc(sizeof *handshake);
    handshake->all = handshakes;
    handshake->socket = socket;
    handshake->address = address;
    handshake->poll.data = handshake;
    int failed = uv_poll_init(loop_uv(handshakes->loop), &handshake->poll, socket);
    assert(failed == 0); /* a socket that is open and watched by nobody */
    uv_poll_start(&handshake->poll, UV_READABLE, readable);
    enter_line(handshake);
}

size_t handshakes_count(const struct handshakes *handshakes)
{
    return handshakes->reading.n + handshakes->lingering.n;
}

static struct handshake *oldest_of(const struct line *line, const struct address *address)
{
    struct handshake *handshake = line->first;
    while (handshake != NULL && address != NULL && handshake->address != address) {
        handshake = handshake->behind;
    }
    return handshake;
}

bool handshakes_end_oldest(struct handshakes *handshakes, const struct address *address)
{
    struct handshake *oldest = oldest_of(&handshakes->lingering, address);
    if (oldest == NULL) {
        oldest = oldest_of(&handshakes->reading, address);
    }
    if (oldest == NULL) {
        return false;
    }
    end(oldest);
    return true;
}

static bool is_due(const struct handshakes *handshakes, const struct line *line,
                   uint64_t timeout_ms)
{
    return line->first != NULL &&
           line->first->since_ms + timeout_ms <= loop_now_ms(handshakes->loop);
}

void handshakes_tick(struct handshakes *handshakes)
{
    while (is_due(handshakes, &handshakes->lingering, LINGER_MS)) {
        end(handshakes->lingering.first);
    }
    while (is_due(handshakes, &handshakes->reading, handshakes->options.timeout_ms)) {
        struct handshake *slow = handshakes->reading.first;
        if (slow->head_len > 0) {
            refuse(slow, &too_slow, false);
        } else {
            end(slow); /* it has asked for nothing */
        }
    }
}
