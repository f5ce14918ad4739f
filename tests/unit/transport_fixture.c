#include "transport_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "chat/log.h"
#include "chat/mem.h"
#include "chat/memory_store.h"
#include "transport/state.h"

enum {
    RUN_MS_MAX = 20000,
    BEAT_MS = 2,
    TURN_MS_MAX = 20, /* longer took a turn only because the machine did something else */
    TURNS_MIN = 20,   /* also when the machine is so busy that the time is over at once */
    TURNS_ASLEEP_MIN = 5,
    SMALL_BUFFER_SIZE = 32768,
    SHOWN_SIZE_MAX = 200,
    LENGTH_16 = 126,
    LENGTH_64 = 127
};

static unsigned n_tokens;

static void count_up(char *out, size_t n_digits)
{
    char digits[TOKEN_SIZE + 1];
    snprintf(digits, sizeof digits, "%032x", ++n_tokens);
    memcpy(out, digits, n_digits);
}

uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void beat(void *ctx)
{
    (void)ctx; /* having woken the loop is all it has to do */
}

static void turn(struct fixture *f, uv_run_mode mode)
{
    uint64_t began_ms = clock_ms();
    uv_run(loop_uv(f->loop), mode);
    uint64_t took_ms = clock_ms() - began_ms;
    f->turned_ms += took_ms < TURN_MS_MAX ? took_ms : TURN_MS_MAX;
}

bool run_until(struct fixture *f, bool (*done)(void *ctx), void *ctx)
{
    uint64_t give_up_ms = f->turned_ms + RUN_MS_MAX;
    while (!done(ctx)) {
        if (f->turned_ms >= give_up_ms) {
            return false;
        }
        turn(f, UV_RUN_ONCE);
    }
    return true;
}

void run_for(struct fixture *f, uint64_t ms)
{
    uint64_t end_ms = clock_ms() + ms;
    for (int n_turns = 0; n_turns < TURNS_MIN || clock_ms() < end_ms; n_turns++) {
        turn(f, n_turns < TURNS_ASLEEP_MIN || clock_ms() < end_ms ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    }
}

int transport_setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    f->loop = loop_create();
    f->beat = loop_timer_create(f->loop, beat, NULL);
    loop_timer_start(f->beat, BEAT_MS, BEAT_MS);
    f->options = (struct transport_options){
        .listen_host = "127.0.0.1",
        .message_size_max = 65536,
        .outbox_size_max = 1048576,
        .outboxes_size_max = 536870912,
        .request_burst_max = 1000,
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 10000,
        .handshake_timeout_ms = 600000, /* a busy machine must not use it up */
        .message_timeout_ms = 60000,
        .handshake_size_max = 32768,
    };
    n_tokens = 0;
    log_set_level(LOG_ERROR);
    *state = f;
    return 0;
}

void forget_client(struct fixture *f, struct client *client)
{
    struct client **place = &f->clients;
    while (*place != client) {
        place = &(*place)->next;
    }
    *place = client->next;
    if (client->fd >= 0) {
        close(client->fd);
    }
    free(client->in);
    free(client);
}

static void forget_clients(struct fixture *f)
{
    while (f->clients != NULL) {
        forget_client(f, f->clients);
    }
}

int transport_teardown(void **state)
{
    struct fixture *f = *state;
    forget_clients(f);
    if (f->transport != NULL && !f->is_stopping) {
        when_stops(f, 100);
    }
    if (f->is_stopping && f->n_stopped == 0) {
        then_stopped(f);
    }
    if (f->store != NULL) {
        f->store->ops->destroy(f->store);
    }
    router_destroy(f->router);
    transport_destroy(f->transport);
    loop_timer_destroy(f->beat);
    loop_destroy(f->loop);
    free(f);
    return 0;
}

void given_server_with(struct fixture *f, struct mapping_store *store,
                       const struct router_options *options)
{
    assert_int_equal(transport_create(f->loop, &f->options, &f->transport), ERR_OK);
    f->router = router_create(transport_sink(f->transport), store, count_up, options);
    transport_start(f->transport, f->router);
}

void given_server_on(struct fixture *f, struct mapping_store *store)
{
    given_server_with(f, store, &(struct router_options){0});
}

void given_server(struct fixture *f)
{
    f->store = memory_store_create(f->loop, NULL);
    given_server_on(f, f->store);
}

void given_server_with_history(struct fixture *f, struct fake_store *store)
{
    fake_store_init(store);
    fake_store_open_inbox(store);
    given_server_with(f, &store->base, &(struct router_options){.features = {.history = true}});
}

static bool has_call(void *ctx)
{
    const struct fake_store *store = ctx;
    return store->first != NULL || store->first_read != NULL;
}

void when_is_device(struct client *client, struct fake_store *store)
{
    const struct inbox_page page = {.after = {10, 0}, .newest = {10, 0}};
    n_tokens = 0;
    when_says(client, SIGN("bob"));
    assert_true(run_until(client->fixture, has_call, store));
    fake_store_answer_read(store, &page);
    fake_store_answer(store);
    fake_store_answer_read(store, &page);
    then_text(client, SIGNED("1"));
    transcript_clear(&store->asked);
}

/* A fuzzer's clock interrupts it now and then: the connection is made all the same. */
static bool connect_to(int fd, const struct sockaddr_in *address)
{
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
        return true;
    }
    struct pollfd made = {.fd = fd, .events = POLLOUT};
    return errno == EINTR && poll(&made, 1, RUN_MS_MAX) == 1;
}

static struct client *connect_with(struct fixture *f, int receive_buffer_size)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(transport_port(f->transport)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client *client = mem_alloc(sizeof *client);
    client->fixture = f;
    client->next = f->clients;
    f->clients = client;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_size > 0) {
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_size,
                   sizeof receive_buffer_size);
    }
    assert_true(connect_to(client->fd, &address));
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
    return client;
}

struct client *given_tcp(struct fixture *f)
{
    return connect_with(f, 0);
}

struct client *given_small_tcp(struct fixture *f)
{
    return connect_with(f, SMALL_BUFFER_SIZE);
}

void when_upgrades(struct client *client)
{
    when_sends_bytes(client, STR(UPGRADE));
    free(then_http(client, "HTTP/1.1 101 "));
}

struct client *given_client(struct fixture *f)
{
    struct client *client = given_tcp(f);
    when_upgrades(client);
    return client;
}

void when_signs(struct client *client, const char *uid)
{
    char text[256];
    snprintf(text, sizeof text, "{\"type\":\"sign\",\"uid\":\"%s\"}", uid);
    n_tokens = 0;
    when_says(client, text);
    then_text(client, SIGNED("1"));
}

struct client *given_user(struct fixture *f, const char *uid)
{
    struct client *client = given_client(f);
    when_signs(client, uid);
    return client;
}

void add_bytes(struct bytes *bytes, struct str more)
{
    bytes->memory = mem_realloc(bytes->memory, bytes->len + more.len + 1);
    memcpy(bytes->memory + bytes->len, more.len == 0 ? "" : more.ptr, more.len);
    bytes->len += more.len;
}

void add_frame(struct bytes *bytes, uint8_t first, struct str payload)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t header[FRAME_HEADER_SIZE_MAX];
    size_t header_size = frame_header_write(FRAME_TEXT, payload.len, header);
    header[0] = first;
    header[1] |= 0x80;
    add_bytes(bytes, (struct str){(char *)header, header_size});
    add_bytes(bytes, (struct str){(const char *)mask, sizeof mask});
    size_t start = bytes->len;
    add_bytes(bytes, payload);
    for (size_t i = 0; i < payload.len; i++) {
        bytes->memory[start + i] ^= mask[i % sizeof mask];
    }
}

void when_sends_bytes(struct client *client, struct str bytes)
{
    struct fixture *f = client->fixture;
    uint64_t give_up_ms = f->turned_ms + RUN_MS_MAX;
    while (bytes.len > 0) {
        ssize_t n = sendto(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL, NULL, 0);
        if (n < 0 && errno != EAGAIN) {
            return; /* the server has ended the connection, which is for the test to see */
        }
        if (n < 0) {
            assert_true(f->turned_ms < give_up_ms);
            turn(f, UV_RUN_ONCE);
            continue;
        }
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
}

void when_sends_all(struct client *client, struct bytes *bytes)
{
    when_sends_bytes(client, (struct str){(const char *)bytes->memory, bytes->len});
    free(bytes->memory);
    *bytes = (struct bytes){0};
}

void when_sends(struct client *client, uint8_t first, struct str payload)
{
    struct bytes bytes = {0};
    add_frame(&bytes, first, payload);
    when_sends_all(client, &bytes);
}

void when_says(struct client *client, const char *text)
{
    when_sends(client, TEXT, str_of(text));
}

void when_leaves(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

void when_resets(struct client *client)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    when_leaves(client);
}

void client_read(struct client *client)
{
    uint8_t buffer[65536];
    while (!client->ended) {
        ssize_t n = recvfrom(client->fd, buffer, sizeof buffer, 0, NULL, NULL);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            client->ended = true;
            return;
        }
        client->in = mem_realloc(client->in, client->n_in + (size_t)n);
        memcpy(client->in + client->n_in, buffer, (size_t)n);
        client->n_in += (size_t)n;
    }
}

static void drop(struct client *client, size_t n)
{
    client->n_in -= n;
    memmove(client->in, client->in + n, client->n_in);
}

static size_t head_size(const struct client *client)
{
    const uint8_t *end = client->n_in == 0 ? NULL : memmem(client->in, client->n_in, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end + 4 - client->in);
}

static bool has_head(void *ctx)
{
    client_read(ctx);
    return head_size(ctx) > 0;
}

char *then_http(struct client *client, const char *want)
{
    assert_true(run_until(client->fixture, has_head, client));
    size_t size = head_size(client);
    char *head = mem_copy((struct str){(char *)client->in, size});
    drop(client, size);
    if (strncmp(head, want, strlen(want)) != 0) {
        fail_msg("wanted %s, got %s", want, head);
    }
    return head;
}

static size_t big_endian(const uint8_t *bytes, size_t n)
{
    size_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

struct frame {
    uint8_t first;
    struct str payload;
    size_t size; /* with its header; 0: not all of it is there */
};

static struct frame next_frame(const struct client *client)
{
    const uint8_t *in = client->in;
    size_t header_size = 2;
    if (client->n_in < header_size) {
        return (struct frame){0};
    }
    header_size += in[1] == LENGTH_16 ? 2 : in[1] == LENGTH_64 ? 8 : 0;
    if (client->n_in < header_size) {
        return (struct frame){0};
    }
    size_t len = header_size == 2 ? in[1] : big_endian(in + 2, header_size - 2);
    if (client->n_in < header_size + len) {
        return (struct frame){0};
    }
    return (struct frame){in[0], {(const char *)in + header_size, len}, header_size + len};
}

static bool has_frame(void *ctx)
{
    struct client *client = ctx;
    client_read(client);
    return client->ended || next_frame(client).size > 0;
}

static int shown_size(struct str s)
{
    return s.len > SHOWN_SIZE_MAX ? SHOWN_SIZE_MAX : (int)s.len;
}

void expect_frame(struct client *client, uint8_t first, struct str want, const char *file, int line)
{
    bool in_time = run_until(client->fixture, has_frame, client);
    struct frame frame = next_frame(client);
    if (frame.size == 0) {
        print_error("%s:%d: wanted %02x %.*s; %s\n", file, line, first, shown_size(want), want.ptr,
                    in_time ? "the connection ended" : "nothing came");
        _fail(file, line);
    }
    if (frame.first != first || !str_eq(frame.payload, want)) {
        print_error("%s:%d: wanted %02x %.*s; got %02x %.*s\n", file, line, first, shown_size(want),
                    want.ptr, frame.first, shown_size(frame.payload), frame.payload.ptr);
        _fail(file, line);
    }
    drop(client, frame.size);
}

bool client_awaits(struct client *client, uint8_t first, struct str payload)
{
    while (run_until(client->fixture, has_frame, client)) {
        struct frame frame = next_frame(client);
        if (frame.size == 0) {
            return false; /* the connection has ended */
        }
        bool is_it = frame.first == first && str_eq(frame.payload, payload);
        drop(client, frame.size);
        if (is_it) {
            return true;
        }
    }
    return false;
}

bool client_has_ended(void *ctx)
{
    struct client *client = ctx;
    client_read(client);
    return client->ended;
}

void expect_ended(struct client *client, const char *file, int line)
{
    if (!run_until(client->fixture, client_has_ended, client) || client->n_in > 0) {
        print_error("%s:%d: %s, and %zu bytes came\n", file, line,
                    client->ended ? "ended" : "still open", client->n_in);
        _fail(file, line);
    }
}

void expect_closed(struct client *client, uint16_t code, const char *file, int line)
{
    char payload[] = {(char)(code >> 8), (char)(code & 0xff)};
    expect_frame(client, CLOSE, (struct str){payload, sizeof payload}, file, line);
    when_sends(client, CLOSE, (struct str){payload, sizeof payload});
    expect_ended(client, file, line);
}

void then_nothing(struct client *client)
{
    when_sends(client, PING, STR("is there anything?"));
    then_frame(client, PONG, STR("is there anything?"));
}

struct expected_count {
    const struct fixture *fixture;
    size_t n;
};

static bool has_n_signed(void *ctx)
{
    const struct expected_count *expected = ctx;
    return router_n_signed(expected->fixture->router) == expected->n;
}

void then_n_signed(struct fixture *f, size_t n)
{
    struct expected_count expected = {f, n};
    assert_true(run_until(f, has_n_signed, &expected));
}

static void on_stopped(void *ctx)
{
    struct fixture *f = ctx;
    f->n_stopped++;
}

void when_stops(struct fixture *f, uint64_t timeout_ms)
{
    f->is_stopping = true;
    transport_stop(f->transport, timeout_ms, on_stopped, f);
}

static bool has_stopped(void *ctx)
{
    const struct fixture *f = ctx;
    return f->n_stopped > 0;
}

void then_stopped(struct fixture *f)
{
    assert_true(run_until(f, has_stopped, f));
    run_for(f, 10);
    assert_int_equal(f->n_stopped, 1);
    assert_int_equal(id_table_count(f->transport->connections), 0);
    assert_int_equal(router_n_signed(f->router), 0);
}

void forget_history(struct fixture *f, struct fake_store *store)
{
    when_stops(f, 100);
    then_stopped(f);
    fake_store_answer_reads_unavailable(store);
    fake_store_fini(store);
}
