#include "load/traffic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/frame.h"
#include "load/message.h"
#include "load/process.h"

enum {
    TOKEN_SIZE = 32,
    SHOWN_MAX = 200,
    N_SIGNER_UIDS = 2,
    RETRY_MS = 100 /* after a sign that was "unavailable" */
};

struct traffic {
    struct engine *engine;
    struct traffic_options options;
    struct party *parties;
    uint32_t n_parties;
    size_t prefix_len;
    /* Sums over all parties. */
    uint64_t asked, answered;
    uint64_t due, delivered; /* copies */
    uint32_t n_joined, n_refused, n_ponged, n_left;
    uint64_t refused_ns; /* the last time */
    /* Talking. */
    bool talking;
    uint64_t measured_from_ns;
    uint64_t heard_ns; /* when something came last */
    struct histogram *latency;
    /* The open loop. */
    double interval_ns;
    double due_ns; /* when the next request is to be sent */
    uint32_t turn; /* whose turn it is */
};

struct party *traffic_party(struct traffic *traffic, uint32_t index)
{
    return &traffic->parties[index];
}

/* ---- Asking */

static size_t write_uid(const struct traffic *traffic, char *to, uint32_t number)
{
    memcpy(to, traffic->options.prefix, traffic->prefix_len);
    char digits[10];
    size_t n_digits = 0;
    do {
        digits[n_digits++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    size_t len = traffic->prefix_len;
    to[len++] = '-';
    while (n_digits > 0) {
        to[len++] = digits[--n_digits];
    }
    return len;
}

static void send_text(struct traffic *traffic, struct client *client, const char *text, size_t len)
{
    frame_append(engine_out(traffic->engine, client), FRAME_TEXT, (struct slice){text, len},
                 client_mask(client));
}

static void sign(struct traffic *traffic, struct client *client, uint32_t uid)
{
    static const char head[] = "{\"type\":\"sign\",\"uid\":\"";
    char text[sizeof(head) + UID_TEXT_SIZE_MAX + 8];
    size_t len = sizeof(head) - 1;
    memcpy(text, head, len);
    len += write_uid(traffic, text + len, uid);
    text[len++] = '"';
    text[len++] = '}';
    send_text(traffic, client, text, len);
}

static uint8_t *put(uint8_t *at, const void *data, size_t len)
{
    memcpy(at, data, len);
    return at + len;
}

/* A msg or a broadcast, written where it leaves from. */
static void send_body(struct traffic *traffic, struct client *client, const struct party *party,
                      uint64_t time_ns)
{
    static const char msg[] = "{\"type\":\"msg\",\"to\":\"", cast[] = "{\"type\":\"broadcast";
    static const char body[] = "\",\"body\":\"", end[] = "\"}";
    bool to_all = party->role == ROLE_BROADCASTER;
    char uid[UID_TEXT_SIZE_MAX];
    size_t uid_len = to_all ? 0 : write_uid(traffic, uid, party->to);
    size_t head_len = to_all ? sizeof(cast) - 1 : sizeof(msg) - 1;
    size_t size = traffic->options.body_size;
    size_t len = head_len + uid_len + sizeof(body) - 1 + size + sizeof(end) - 1;
    uint32_t mask = client_mask(client);
    struct bytes *out = engine_out(traffic->engine, client);
    uint8_t *payload = frame_begin(out, FRAME_TEXT, len, mask);
    uint8_t *at = put(payload, to_all ? cast : msg, head_len);
    at = put(at, uid, uid_len);
    at = put(at, body, sizeof(body) - 1);
    stamp_write((char *)at, size, &(struct stamp){party->asked, time_ns});
    put(at + size, end, sizeof(end) - 1);
    frame_mask(payload, len, mask);
}

static void ask(struct traffic *traffic, uint32_t index, uint64_t time_ns)
{
    struct party *party = &traffic->parties[index];
    struct client *client = engine_client(traffic->engine, index);
    if (party->role == ROLE_SIGNER) {
        party->asked_ns[party->asked % WINDOW_MAX] = time_ns;
        sign(traffic, client, N_SIGNER_UIDS * party->uid + party->asked % N_SIGNER_UIDS);
    } else {
        send_body(traffic, client, party, time_ns);
    }
    party->asked++;
    traffic->asked++;
    traffic->due += party->copies;
}

static uint64_t n_done(const struct party *party)
{
    if (party->copies == 0) {
        return party->answered;
    }
    uint64_t whole = party->copies == 1 ? party->delivered : party->delivered / party->copies;
    return whole < party->answered ? whole : party->answered;
}

static bool asks(const struct party *party)
{
    return party->role != ROLE_LISTENER && !party->resting;
}

static bool has_asked_all(const struct traffic *traffic, const struct party *party)
{
    return traffic->options.n_messages > 0 && party->asked >= traffic->options.n_messages;
}

/* Closed loop: as many as the window has room for. */
static void fill_window(struct traffic *traffic, uint32_t index, uint64_t now)
{
    const struct party *party = &traffic->parties[index];
    if (!traffic->talking || traffic->options.rate > 0 || !asks(party)) {
        return;
    }
    uint64_t done = n_done(party);
    if (traffic->options.in_batches && done != party->asked) {
        return;
    }
    uint32_t window = party->window > 0 ? party->window : traffic->options.window;
    while (party->asked - done < window && !has_asked_all(traffic, party)) {
        ask(traffic, index, now);
    }
}

/* Open loop: all that should have been sent by now, by each in turn. */
static void keep_pace(struct traffic *traffic, uint64_t now)
{
    while (traffic->due_ns <= (double)now) {
        do {
            traffic->turn = (traffic->turn + 1) % traffic->n_parties;
        } while (!asks(&traffic->parties[traffic->turn]));
        ask(traffic, traffic->turn, (uint64_t)traffic->due_ns);
        traffic->due_ns += traffic->interval_ns;
    }
}

/* ---- Checking */

static _Noreturn void wrong_text(const struct client *client, const char *what, struct slice text)
{
    int shown = text.len > SHOWN_MAX ? SHOWN_MAX : (int)text.len;
    die(EXIT_WRONG, "connection %u: %s: %.*s", client->index, what, shown, text.data);
}

/* The number behind the prefix; UINT32_MAX if it is no uid of ours. */
static uint32_t read_uid(const struct traffic *traffic, struct slice uid)
{
    size_t at = traffic->prefix_len;
    if (uid.len <= at + 1 || uid.len > at + 10 || uid.data[at] != '-' ||
        memcmp(uid.data, traffic->options.prefix, at) != 0) {
        return UINT32_MAX;
    }
    uint32_t number = 0;
    for (at++; at < uid.len; at++) {
        if (uid.data[at] < '0' || uid.data[at] > '9') {
            return UINT32_MAX;
        }
        number = number * 10 + (uint32_t)(uid.data[at] - '0');
    }
    return number;
}

static void wrong_number(const struct client *client, uint32_t from, uint32_t got, uint32_t next)
{
    if (got > next) {
        die(EXIT_WRONG,
            "connection %u: message %u of party %u came when %u was next: lost or overtaken",
            client->index, got, from, next);
    }
    die(EXIT_WRONG,
        "connection %u: message %u of party %u came when %u was next: doubled or overtaken",
        client->index, got, from, next);
}

static void check_delivery(struct traffic *traffic, struct client *client, struct slice text,
                           const struct message *message, uint64_t now)
{
    struct party *party = &traffic->parties[client->index];
    uint32_t from = read_uid(traffic, message->from);
    if (from < party->hears || from - party->hears >= party->n_hears) {
        wrong_text(client, "from somebody who does not write to it", text);
    }
    struct stamp stamp;
    if (!stamp_read(message->body, traffic->options.body_size, &stamp)) {
        wrong_text(client, "a body that nobody sent", text);
    }
    struct party *sender = &traffic->parties[from];
    uint32_t *next = &party->next[from - party->hears];
    if (stamp.number != *next) {
        wrong_number(client, from, stamp.number, *next);
    }
    if (stamp.number >= sender->asked || stamp.time_ns > now) {
        wrong_text(client, "a message that nobody has sent yet", text);
    }
    ++*next;
    sender->delivered++;
    traffic->delivered++;
    if (stamp.time_ns >= traffic->measured_from_ns) {
        histogram_record(traffic->latency, now - stamp.time_ns);
    }
    fill_window(traffic, from, now);
}

static bool is_token(struct slice token)
{
    size_t n_digits = 0;
    while (n_digits < token.len && strchr("0123456789abcdef", token.data[n_digits]) != NULL) {
        n_digits++;
    }
    return n_digits == TOKEN_SIZE && token.len == TOKEN_SIZE;
}

static bool is_unavailable(struct slice code)
{
    static const char unavailable[] = "unavailable";
    return code.len == sizeof(unavailable) - 1 && memcmp(code.data, unavailable, code.len) == 0;
}

static void check_reply(struct traffic *traffic, struct client *client, struct slice text,
                        const struct message *message, uint64_t now)
{
    struct party *party = &traffic->parties[client->index];
    if (!party->joined && message->status == 0 && is_unavailable(message->code)) {
        traffic->n_refused += !party->refused;
        traffic->refused_ns = now;
        party->refused = true;
        return;
    }
    bool to_sign = !party->joined || party->role == ROLE_SIGNER;
    if (message->status != 1 || message->from.data != NULL || to_sign != is_token(message->token)) {
        wrong_text(client, "a reply that its request does not get", text);
    }
    if (!party->joined) {
        party->joined = true;
        traffic->n_joined++;
        return;
    }
    if (party->answered == party->asked) {
        wrong_text(client, "a reply without a request", text);
    }
    if (party->role == ROLE_SIGNER) {
        uint64_t asked_ns = party->asked_ns[party->answered % WINDOW_MAX];
        if (asked_ns >= traffic->measured_from_ns) {
            histogram_record(traffic->latency, now - asked_ns);
        }
    }
    party->answered++;
    traffic->answered++;
    fill_window(traffic, client->index, now);
}

static void join(struct traffic *traffic, struct client *client)
{
    struct party *party = &traffic->parties[client->index];
    party->refused = false;
    sign(traffic, client, party->role == ROLE_SIGNER ? N_SIGNER_UIDS * party->uid : party->uid);
}

static void on_opened(void *ctx, struct client *client, uint64_t now)
{
    (void)now;
    join(ctx, client);
}

static void on_text(void *ctx, struct client *client, struct slice text, uint64_t now)
{
    struct traffic *traffic = ctx;
    struct message message;
    traffic->heard_ns = now;
    if (!message_read(text, &message)) {
        wrong_text(client, "not a message of the protocol", text);
    }
    if (message.status < 0) {
        check_delivery(traffic, client, text, &message, now);
    } else {
        check_reply(traffic, client, text, &message, now);
    }
}

static void on_pong(void *ctx, struct client *client)
{
    struct traffic *traffic = ctx;
    struct party *party = &traffic->parties[client->index];
    traffic->heard_ns = now_ns();
    traffic->n_ponged += !party->ponged;
    party->ponged = true;
}

static void on_closed(void *ctx, struct client *client, uint16_t code)
{
    struct traffic *traffic = ctx;
    struct party *party = &traffic->parties[client->index];
    traffic->heard_ns = now_ns();
    if (client->muted) {
        return; /* a server may close those that do not read [WS-12] */
    }
    if (client->closing && code != CLOSED_WITHOUT_FRAME && !party->joined) {
        traffic->n_left++;
    } else {
        die(EXIT_WRONG,
            "connection %u: the server closed it with %u, %u of its %u requests answered",
            client->index, code, party->answered, party->asked);
    }
}

/* ---- What is missing */

static void say_what_is_lost(const struct traffic *traffic)
{
    for (uint32_t i = 0; i < traffic->n_parties; i++) {
        const struct party *party = &traffic->parties[i];
        if (party->answered != party->asked) {
            die(EXIT_WRONG, "connection %u: no reply to its request %u", i, party->answered);
        }
        for (uint32_t k = 0; party->joined && k < party->n_hears; k++) {
            if (party->next[k] != traffic->parties[party->hears + k].asked) {
                die(EXIT_WRONG, "connection %u: message %u of party %u is lost", i, party->next[k],
                    party->hears + k);
            }
        }
    }
}

static void turn(struct traffic *traffic, uint64_t until_ns)
{
    engine_turn(traffic->engine, until_ns);
    uint64_t now = now_ns();
    if (now - traffic->heard_ns > traffic->options.patience_s * NS_PER_S) {
        say_what_is_lost(traffic);
        die(EXIT_WRONG, "nothing came for %u s", traffic->options.patience_s);
    }
}

/* ---- The acts of a scenario */

static const struct handlers handlers = {on_opened, on_text, on_pong, on_closed};

struct traffic *traffic_create(const struct target *target, const struct traffic_options *options,
                               uint32_t n_parties)
{
    struct traffic *traffic = zeroed(1, sizeof(*traffic));
    traffic->options = *options;
    traffic->prefix_len = strlen(options->prefix);
    traffic->n_parties = n_parties;
    traffic->parties = zeroed(n_parties, sizeof(*traffic->parties));
    traffic->engine = engine_create(target, n_parties, &handlers, traffic);
    return traffic;
}

void traffic_destroy(struct traffic *traffic)
{
    for (uint32_t i = 0; i < traffic->n_parties; i++) {
        free(traffic->parties[i].next);
        free(traffic->parties[i].asked_ns);
    }
    engine_destroy(traffic->engine);
    free(traffic->parties);
    free(traffic);
}

static void begin_to_join(struct traffic *traffic, uint32_t index)
{
    struct party *party = &traffic->parties[index];
    if (party->n_hears > 0) {
        party->next = zeroed(party->n_hears, sizeof(*party->next));
    }
    if (party->role == ROLE_SIGNER) {
        party->asked_ns = zeroed(WINDOW_MAX, sizeof(*party->asked_ns));
    }
    engine_connect(traffic->engine, index, index);
}

/* Those that were refused try again, a while after the last refusal. */
static void try_again(struct traffic *traffic, uint32_t first, uint32_t count, uint64_t began_ns)
{
    uint64_t now = now_ns();
    if (traffic->n_refused == 0 || now - traffic->refused_ns < RETRY_MS * NS_PER_MS) {
        return;
    }
    if (now - began_ns > traffic->options.patience_s * NS_PER_S) {
        die(EXIT_UNMEASURED, "the server's store is not available");
    }
    traffic->n_refused = 0;
    for (uint32_t i = first; i < first + count; i++) {
        if (traffic->parties[i].refused) {
            join(traffic, engine_client(traffic->engine, i));
        }
    }
}

void traffic_join(struct traffic *traffic, uint32_t first, uint32_t count)
{
    uint32_t begun = 0, joined_before = traffic->n_joined;
    uint64_t began_ns = traffic->heard_ns = now_ns();
    while (traffic->n_joined - joined_before < count) {
        while (begun < count &&
               begun - (traffic->n_joined - joined_before) < traffic->options.at_once) {
            begin_to_join(traffic, first + begun++);
        }
        try_again(traffic, first, begun, began_ns);
        turn(traffic, now_ns() + (traffic->n_refused > 0 ? RETRY_MS * NS_PER_MS : NS_PER_S));
    }
}

static bool has_all_arrived(const struct traffic *traffic)
{
    return traffic->answered == traffic->asked && traffic->delivered == traffic->due;
}

/* A window is filled as soon as there is room, so when nothing is under way, nobody has more to
 * ask. */
static bool is_over(const struct traffic *traffic)
{
    return traffic->options.n_messages > 0 && has_all_arrived(traffic);
}

/* The next turn ends when something comes, when something is to be sent, or when the time is
 * over. */
static void talk_until(struct traffic *traffic, uint64_t end_ns)
{
    uint64_t now;
    while ((now = now_ns()) < end_ns && !is_over(traffic)) {
        uint64_t until_ns = end_ns;
        if (traffic->options.rate > 0) {
            keep_pace(traffic, now);
            until_ns = traffic->due_ns < (double)end_ns ? (uint64_t)traffic->due_ns : end_ns;
        }
        turn(traffic, until_ns);
    }
}

static void wait_for_the_rest(struct traffic *traffic)
{
    traffic->talking = false;
    traffic->heard_ns = now_ns();
    while (!has_all_arrived(traffic)) {
        turn(traffic, now_ns() + NS_PER_S);
    }
}

/* Behind the pong nothing of what was sent before can come. */
static void ping_everybody(struct traffic *traffic)
{
    uint32_t n_pinged = 0;
    traffic->n_ponged = 0;
    traffic->heard_ns = now_ns();
    for (uint32_t i = 0; i < traffic->n_parties; i++) {
        struct client *client = engine_client(traffic->engine, i);
        if (client->state == CLIENT_OPEN && !client->muted && !client->closing) {
            traffic->parties[i].ponged = false;
            frame_append(engine_out(traffic->engine, client), FRAME_PING, (struct slice){"end", 3},
                         client_mask(client));
            n_pinged++;
        }
    }
    while (traffic->n_ponged < n_pinged) {
        turn(traffic, now_ns() + NS_PER_S);
    }
}

/* Adds the present state, or takes it away. */
static void sample(const struct traffic *traffic, struct measurement *sum, int by)
{
    uint64_t factor = (uint64_t)(int64_t)by;
    sum->seconds += by * ((double)now_ns() / (double)NS_PER_S);
    sum->answered += factor * traffic->answered;
    sum->delivered += factor * traffic->delivered;
    sum->server_cpu_ns += factor * process_cpu_ns(traffic->options.server_pid);
    sum->redis_cpu_ns += factor * process_cpu_ns(traffic->options.redis_pid);
    sum->own_cpu_ns += factor * process_cpu_ns(getpid());
}

static void start_talking(struct traffic *traffic)
{
    uint64_t now = now_ns();
    traffic->talking = true;
    traffic->heard_ns = now;
    traffic->measured_from_ns = UINT64_MAX;
    if (traffic->options.rate > 0) {
        traffic->interval_ns = (double)NS_PER_S / traffic->options.rate;
        traffic->due_ns = (double)now;
    }
    for (uint32_t i = 0; i < traffic->n_parties; i++) {
        fill_window(traffic, i, now);
    }
}

void traffic_talk(struct traffic *traffic, double warm_s, double seconds,
                  struct measurement *measurement)
{
    memset(measurement, 0, sizeof(*measurement));
    traffic->latency = &measurement->latency;
    start_talking(traffic);
    talk_until(traffic, now_ns() + (uint64_t)(warm_s * (double)NS_PER_S));
    sample(traffic, measurement, -1);
    traffic->measured_from_ns = now_ns();
    talk_until(traffic, traffic->measured_from_ns + (uint64_t)(seconds * (double)NS_PER_S));
    sample(traffic, measurement, +1);
    wait_for_the_rest(traffic);
    ping_everybody(traffic);
    traffic->measured_from_ns = UINT64_MAX;
}

void traffic_mute(struct traffic *traffic, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        engine_mute(traffic->engine, engine_client(traffic->engine, i));
    }
}

void traffic_leave(struct traffic *traffic, uint32_t first, uint32_t count)
{
    uint32_t wanted = traffic->n_left + count;
    traffic->heard_ns = now_ns();
    for (uint32_t i = first; i < first + count; i++) {
        traffic->parties[i].joined = false;
        engine_close(traffic->engine, engine_client(traffic->engine, i));
    }
    while (traffic->n_left < wanted) {
        turn(traffic, now_ns() + NS_PER_S);
    }
}
