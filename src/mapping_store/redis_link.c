#include "mapping_store/redis_link.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include <hiredis/async.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "chat/random.h"
#include "mapping_store/redis_lookup.h"
#include "mapping_store/redis_refusal.h"
#include "mapping_store/redis_socket.h"

enum {
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 1000,
    COMMANDS_CAPACITY_MIN = 256, /* a power of two, as every capacity */
    COMMAND_SIZE_MIN = 1024,     /* bytes */
    GRACE_MS =
        50, /* without any reply, for one more look at the socket, before a command is lost */
    REASON_SIZE_MAX = 160 /* bytes, with its terminator */
};

enum link_state {
    LINK_WAITING,    /* for the next attempt */
    LINK_RESOLVING,  /* the host's name */
    LINK_CONNECTING, /* until Redis has answered AUTH and SELECT */
    LINK_CONNECTED
};

struct command {
    redis_reply_fn *replied;
    void *ctx;
    uint64_t asked_ms;
};

struct redis_link {
    struct loop *loop;
    struct redis_url url;
    uint64_t timeout_ms;
    struct redis_link_events events;
    void *ctx;
    enum link_state state;
    unsigned n_attempts;         /* since it was accepted last */
    struct redis_lookup *lookup; /* outlives the attempt that began it: it may be slow */
    char found[NI_MAXHOST];      /* what it found, for the attempt that is due now; or empty */
    redisAsyncContext *redis;    /* NULL while there is no connection */
    struct loop_hook *flush_hook;
    struct loop_timer *attempt_timer; /* the next attempt is due, or this one takes too long */
    struct loop_timer *command_timer; /* the oldest command may take too long */
    bool command_timer_runs;
    bool in_grace;

    struct command *commands; /* a ring: those in flight, oldest first */
    size_t commands_capacity;
    size_t commands_head;
    size_t n_commands;
    char *buffer; /* where a command is put together */
    size_t buffer_size;

    bool accepted;                /* by the owner */
    bool broken;                  /* the flush hook has to give the connection up: */
    const char *why;              /* redis_link_why() */
    char reason[REASON_SIZE_MAX]; /* why it was given up */
    char logged[REASON_SIZE_MAX]; /* the reason in the log, empty while all is well */
};

/* ---- the end of an attempt or a connection ---- */

static void break_off(struct redis_link *link, const char *reason)
{
    if (!link->broken) {
        link->broken = true;
        const char *refusal = redis_refusal(reason);
        link->why = refusal != NULL ? refusal : "Redis cannot be reached";
        snprintf(link->reason, sizeof link->reason, "%s", reason);
    }
}

static const char silent[] = "Redis does not answer";

static void break_off_silent(struct redis_link *link, const char *reason)
{
    break_off(link, reason);
    link->why = silent;
}

/* One line for each change, not for each attempt. */
static void log_loss(struct redis_link *link, const char *event)
{
    if (strcmp(link->logged, link->reason) == 0) {
        return;
    }
    snprintf(link->logged, sizeof link->logged, "%s", link->reason);
    char url[REDIS_URL_SIZE_MAX];
    redis_url_print(&link->url, url);
    log_line(LOG_WARN, event, "url=%s reason=%s why=%s", log_value(url), log_value(link->reason),
             log_value(link->why));
}

static uint64_t retry_ms(unsigned n_attempts)
{
    uint64_t max = RETRY_MIN_MS;
    for (unsigned i = 1; i < n_attempts && max < RETRY_MAX_MS; i++) {
        max *= 2;
    }
    max = max < RETRY_MAX_MS ? max : RETRY_MAX_MS;
    /* Half of it by chance, so that many servers do not come back to Redis in step. */
    char digits[5] = "";
    random_hex(digits, sizeof digits - 1);
    return max / 2 + strtoull(digits, NULL, 16) % (max / 2 + 1);
}

/* There is no connection any more: 'link->redis' is NULL, every command has been answered. */
static void wait_for_retry(struct redis_link *link)
{
    log_loss(link, link->accepted ? "redis_lost" : "redis_unavailable");
    link->accepted = false;
    link->state = LINK_WAITING;
    link->broken = false;
    loop_timer_stop(link->command_timer);
    link->command_timer_runs = false;
    link->n_attempts++;
    loop_timer_start(link->attempt_timer, retry_ms(link->n_attempts), 0);
    link->events.lost(link->ctx);
}

/* hiredis frees its connection, the callbacks of its commands are called with NULL. */
static void drop_connection(struct redis_link *link)
{
    redisAsyncContext *redis = link->redis;
    link->redis = NULL; /* on_connected() and on_disconnected() know by it that it was us */
    if (redis != NULL) {
        redisAsyncFree(redis);
    }
}

static void give_up(struct redis_link *link)
{
    drop_connection(link);
    wait_for_retry(link);
}

/* ---- commands ---- */

static struct command *command_at(struct redis_link *link, size_t i)
{
    return &link->commands[(link->commands_head + i) & (link->commands_capacity - 1)];
}

static void grow_commands(struct redis_link *link)
{
    size_t capacity =
        link->commands_capacity == 0 ? COMMANDS_CAPACITY_MIN : link->commands_capacity * 2;
    struct command *commands = mem_alloc(capacity * sizeof *commands);
    for (size_t i = 0; i < link->n_commands; i++) {
        commands[i] = *command_at(link, i);
    }
    free(link->commands);
    link->commands = commands;
    link->commands_capacity = capacity;
    link->commands_head = 0;
}

static void push_command(struct redis_link *link, redis_reply_fn *replied, void *ctx)
{
    if (link->n_commands == link->commands_capacity) {
        grow_commands(link);
    }
    *command_at(link, link->n_commands) = (struct command){replied, ctx, loop_now_ms(link->loop)};
    link->n_commands++;
    if (!link->command_timer_runs && link->state == LINK_CONNECTED) {
        link->command_timer_runs = true;
        link->in_grace = false;
        loop_timer_start(link->command_timer, link->timeout_ms, 0);
    }
}

static void on_reply(redisAsyncContext *redis, void *reply, void *data)
{
    (void)redis;
    struct redis_link *link = data;
    assert(link->n_commands > 0);
    struct command command = *command_at(link, 0);
    link->commands_head = (link->commands_head + 1) & (link->commands_capacity - 1);
    link->n_commands--;
    link->in_grace = false;
    command.replied(command.ctx, reply);
}

/* One timer for all commands: it looks at the oldest. Silence is not yet Redis' fault if this
 * process itself was stopped or busy, so what has arrived meanwhile is read before the link is
 * given up. */
static void on_command_timer(void *ctx)
{
    struct redis_link *link = ctx;
    link->command_timer_runs = false;
    if (link->n_commands == 0) {
        return;
    }
    uint64_t age_ms = loop_now_ms(link->loop) - command_at(link, 0)->asked_ms;
    if (age_ms >= link->timeout_ms && link->in_grace) {
        break_off_silent(link, "a command was not answered in time");
        return;
    }
    link->in_grace = age_ms >= link->timeout_ms;
    link->command_timer_runs = true;
    loop_timer_start(link->command_timer, link->in_grace ? GRACE_MS : link->timeout_ms - age_ms, 0);
}

static void reserve_buffer(struct redis_link *link, size_t size)
{
    if (size > link->buffer_size) {
        link->buffer_size = size > COMMAND_SIZE_MIN ? size : COMMAND_SIZE_MIN;
        free(link->buffer);
        link->buffer = mem_alloc(link->buffer_size);
    }
}

/* "<kind><number>\r\n" */
static size_t write_header(char *out, char kind, size_t number)
{
    char digits[24];
    size_t n_digits = 0;
    do {
        digits[n_digits++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    size_t len = 0;
    out[len++] = kind;
    while (n_digits > 0) {
        out[len++] = digits[--n_digits];
    }
    out[len++] = '\r';
    out[len++] = '\n';
    return len;
}

/* The command as Redis reads it; hiredis' own formatting allocates twice for each message. */
static size_t format_command(struct redis_link *link, const struct str *args, size_t n)
{
    enum {
        HEADER_SIZE_MAX = 24,
        END_SIZE = 2
    };
    size_t size = HEADER_SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size += HEADER_SIZE_MAX + args[i].len + END_SIZE;
    }
    reserve_buffer(link, size);
    size_t len = write_header(link->buffer, '*', n);
    for (size_t i = 0; i < n; i++) {
        len += write_header(link->buffer + len, '$', args[i].len);
        if (args[i].len > 0) {
            memcpy(link->buffer + len, args[i].ptr, args[i].len);
        }
        len += args[i].len;
        memcpy(link->buffer + len, "\r\n", END_SIZE);
        len += END_SIZE;
    }
    return len;
}

static bool send_command(struct redis_link *link, const struct str *args, size_t n,
                         redis_reply_fn *replied, void *ctx)
{
    size_t len = format_command(link, args, n);
    if (redisAsyncFormattedCommand(link->redis, on_reply, link, link->buffer, len) != REDIS_OK) {
        return false;
    }
    push_command(link, replied, ctx);
    return true;
}

bool redis_link_command(struct redis_link *link, const struct str *args, size_t n,
                        redis_reply_fn *replied, void *ctx)
{
    return redis_link_is_connected(link) && send_command(link, args, n, replied, ctx);
}

bool redis_link_is_connected(const struct redis_link *link)
{
    return link != NULL && link->state == LINK_CONNECTED && link->redis != NULL && !link->broken;
}

const char *redis_link_why(const struct redis_link *link)
{
    return link->why;
}

size_t redis_link_n_in_flight(const struct redis_link *link)
{
    return link->n_commands;
}

/* ---- connecting ---- */

/* The answer to AUTH and to SELECT. What Redis says does not repeat the password. */
static void on_login_reply(void *ctx, const redisReply *reply)
{
    struct redis_link *link = ctx;
    if (reply != NULL && reply->type != REDIS_REPLY_STATUS) {
        break_off(link, reply->type == REDIS_REPLY_ERROR ? reply->str : "this is not a Redis");
    }
}

static void on_select_reply(void *ctx, const redisReply *reply)
{
    struct redis_link *link = ctx;
    on_login_reply(link, reply);
    if (reply == NULL || link->broken) {
        return;
    }
    loop_timer_stop(link->attempt_timer);
    link->state = LINK_CONNECTED;
    link->events.connected(link->ctx);
}

static void log_in(struct redis_link *link)
{
    const struct redis_url *url = &link->url;
    if (url->user[0] != '\0') {
        struct str args[] = {STR("AUTH"), str_of(url->user), str_of(url->password)};
        send_command(link, args, 3, on_login_reply, link);
    } else if (url->password[0] != '\0') {
        struct str args[] = {STR("AUTH"), str_of(url->password)};
        send_command(link, args, 2, on_login_reply, link);
    }
    char database[16];
    snprintf(database, sizeof database, "%d", url->database);
    struct str args[] = {STR("SELECT"), str_of(database)};
    send_command(link, args, 2, on_select_reply, link);
}

static void on_connected(const redisAsyncContext *redis, int status)
{
    struct redis_link *link = redis->data;
    if (status == REDIS_OK || link->redis != redis) {
        return;
    }
    link->redis = NULL; /* hiredis frees it */
    break_off(link, redis->c.errstr[0] != '\0' ? redis->c.errstr : "cannot connect");
}

static void on_disconnected(const redisAsyncContext *redis, int status)
{
    (void)status;
    struct redis_link *link = redis->data;
    if (link->redis != redis) {
        return;
    }
    link->redis = NULL; /* hiredis frees it */
    break_off(link, redis->c.errstr[0] != '\0' ? redis->c.errstr : "the connection has ended");
}

static void adopt(struct redis_link *link, redisAsyncContext *redis)
{
    if (redis == NULL) {
        break_off(link, "hiredis has no connection to give");
        return;
    }
    if (redis->err != 0) {
        break_off(link, redis->errstr);
        redisAsyncFree(redis);
        return;
    }
    if (redis_socket_watch(link->loop, redis) != ERR_OK) {
        break_off(link, "the socket cannot be watched");
        redisAsyncFree(redis);
        return;
    }
    redis->data = link;
    link->redis = redis;
    link->state = LINK_CONNECTING;
    redisAsyncSetConnectCallback(redis, on_connected);
    redisAsyncSetDisconnectCallback(redis, on_disconnected);
    log_in(link); /* hiredis keeps it until there is a connection */
}

/* An attempt takes one of the host's addresses, the next attempt the next: "localhost" is often
 * ::1 first, where no Redis listens. */
static const struct addrinfo *choose_address(const struct addrinfo *first, unsigned n_attempts)
{
    unsigned n = 0;
    for (const struct addrinfo *at = first; at != NULL; at = at->ai_next) {
        n++;
    }
    const struct addrinfo *chosen = first;
    for (unsigned i = n_attempts % n; i > 0; i--) {
        chosen = chosen->ai_next;
    }
    return chosen;
}

static void connect_to(struct redis_link *link, const char *host)
{
    adopt(link, redisAsyncConnect(host, atoi(link->url.port)));
}

/* An answer that comes between two attempts begins the next one. */
static void on_lookup(void *ctx, const struct addrinfo *addresses, const char *why)
{
    struct redis_link *link = ctx;
    char host[NI_MAXHOST];
    link->lookup = NULL;
    if (addresses == NULL) {
        break_off(link, why);
        return;
    }
    const struct addrinfo *address = choose_address(addresses, link->n_attempts);
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        break_off(link, "the host's address cannot be written");
    } else if (link->state == LINK_RESOLVING && !link->broken) {
        connect_to(link, host);
    } else {
        memcpy(link->found, host, sizeof host);
        if (!link->broken) {
            loop_timer_start(link->attempt_timer, 0, 0);
        }
    }
}

static void resolve(struct redis_link *link)
{
    link->state = LINK_RESOLVING;
    if (link->found[0] != '\0') {
        connect_to(link, link->found);
        link->found[0] = '\0';
        return;
    }
    if (link->lookup == NULL) {
        link->lookup =
            redis_lookup_start(link->loop, link->url.host, link->url.port, on_lookup, link);
    }
    if (link->lookup == NULL) {
        break_off(link, strerror(errno));
    }
}

static bool is_numeric(const char *host)
{
    struct in6_addr address; /* room for both kinds */
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static void on_attempt_timer(void *ctx)
{
    struct redis_link *link = ctx;
    if (link->state == LINK_RESOLVING) {
        break_off(link, "looking up the host's name takes too long");
        return;
    }
    if (link->state != LINK_WAITING) {
        break_off_silent(link, "connecting took too long");
        return;
    }
    loop_timer_start(link->attempt_timer, link->timeout_ms, 0);
    if (link->url.path[0] != '\0') {
        adopt(link, redisAsyncConnectUnix(link->url.path));
    } else if (is_numeric(link->url.host)) {
        connect_to(link, link->url.host);
    } else {
        resolve(link);
    }
}

/* Once a turn: here and nowhere else a connection is given up, so never inside hiredis. */
static void on_before_sleep(void *ctx)
{
    struct redis_link *link = ctx;
    if (!link->broken && link->redis != NULL) {
        redis_socket_flush(link->redis);
    }
    if (link->broken) {
        give_up(link);
    }
}

/* ---- life ---- */

struct redis_link *redis_link_create(struct loop *loop, const struct redis_url *url,
                                     uint64_t timeout_ms, const struct redis_link_events *events,
                                     void *ctx)
{
    struct redis_link *link = mem_alloc(sizeof *link);
    link->loop = loop;
    link->url = *url;
    link->timeout_ms = timeout_ms;
    link->events = *events;
    link->ctx = ctx;
    link->state = LINK_WAITING;
    link->attempt_timer = loop_timer_create(loop, on_attempt_timer, link);
    link->command_timer = loop_timer_create(loop, on_command_timer, link);
    link->flush_hook = loop_before_sleep(loop, on_before_sleep, link);
    loop_timer_start(link->attempt_timer, 0, 0);
    return link;
}

void redis_link_destroy(struct redis_link *link)
{
    if (link == NULL) {
        return;
    }
    loop_timer_destroy(link->attempt_timer);
    loop_hook_destroy(link->flush_hook);
    link->state = LINK_WAITING; /* whoever is told NULL now cannot ask again */
    drop_connection(link);
    redis_lookup_abandon(link->lookup);
    loop_timer_destroy(link->command_timer);
    free(link->commands);
    free(link->buffer);
    free(link);
}

void redis_link_accept(struct redis_link *link)
{
    char url[REDIS_URL_SIZE_MAX];
    redis_url_print(&link->url, url);
    log_line(LOG_INFO, "redis_connected", "url=%s", log_value(url));
    link->logged[0] = '\0';
    link->why = NULL;
    link->n_attempts = 0;
    link->accepted = true;
}

void redis_link_reject(struct redis_link *link, const char *reason)
{
    break_off(link, reason);
}
