#include "router_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "chat/mem.h"

static unsigned n_tokens;

static void count_up(char *out, size_t n_digits)
{
    char digits[TOKEN_SIZE + 1];
    assert_int_equal(n_digits, TOKEN_SIZE);
    snprintf(digits, sizeof digits, "%032x", ++n_tokens);
    memcpy(out, digits, n_digits);
}

static int set_up(void **state, const struct router_options *options)
{
    struct fixture *f = mem_alloc(sizeof *f);
    fake_sink_init(&f->sink);
    fake_store_init(&f->store);
    if (options->features.history) {
        fake_store_open_inbox(&f->store);
    }
    f->router = router_create(&f->sink.base, &f->store.base, count_up, options);
    n_tokens = 0;
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    return set_up(state, &(struct router_options){0});
}

int broadcast_setup(void **state)
{
    return set_up(state, &(struct router_options){.features = {.broadcast = true}});
}

int admins_setup(void **state)
{
    static const struct str admins[] = {STR_INIT("admin"), STR_INIT("root")};
    return set_up(state, &(struct router_options){.features = {.broadcast = true},
                                                  .broadcasters = admins,
                                                  .n_broadcasters = 2});
}

int history_setup(void **state)
{
    return set_up(state,
                  &(struct router_options){.features = {.broadcast = true, .history = true}});
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fake_store_answer_reads_unavailable(&f->store);
    router_destroy(f->router);
    fake_store_fini(&f->store);
    fake_sink_fini(&f->sink);
    free(f);
    return 0;
}

struct request sign_as(const char *uid)
{
    return (struct request){.type = REQUEST_SIGN,
                            .cid_valid = true,
                            .uid_valid = true,
                            .uid = str_of(uid),
                            .since_valid = true};
}

struct request msg_to(const char *to, const char *body)
{
    return (struct request){.type = REQUEST_MSG,
                            .cid_valid = true,
                            .uid_valid = true,
                            .uid = str_of(to),
                            .body = str_of(body)};
}

struct request broadcast_of(const char *body)
{
    return (struct request){.type = REQUEST_BROADCAST, .cid_valid = true, .body = str_of(body)};
}

struct request with_since(struct request request, uint64_t ms)
{
    request.has_since = true;
    request.since = ID(ms);
    return request;
}

struct request with_invalid_since(struct request request)
{
    request.has_since = true;
    request.since_valid = false;
    return request;
}

struct request with_cid_value(struct request request, const char *cid)
{
    request.cid_value = str_of(cid);
    return request;
}

struct request with_cid(struct request request, const char *cid_json)
{
    request.cid = str_of(cid_json);
    return request;
}

struct request with_invalid_cid(struct request request)
{
    request.cid_valid = false;
    request.cid = STR("17");
    return request;
}

struct request without_uid(struct request request)
{
    request.uid_valid = false;
    request.uid = STR("");
    return request;
}

conn_id given_connection(struct fixture *f)
{
    router_opened(f->router, ++f->last_conn);
    return f->last_conn;
}

conn_id given_user(struct fixture *f, const char *uid)
{
    conn_id conn = given_connection(f);
    when_receives(f, conn, sign_as(uid));
    fake_store_answer_bind(&f->store, conn);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);
    n_tokens = 0;
    return conn;
}

conn_id given_device(struct fixture *f, const char *uid, uint64_t newest_ms)
{
    conn_id conn = given_connection(f);
    when_receives(f, conn, with_since(sign_as(uid), newest_ms));
    when_page(f, 1, 0, newest_ms);
    fake_store_answer_bind(&f->store, conn);
    when_page(f, 1, 0, newest_ms);
    transcript_clear(&f->sink.said);
    transcript_clear(&f->store.asked);
    n_tokens = 0;
    return conn;
}

void when_page(struct fixture *f, uint64_t first_ms, uint64_t last_ms, uint64_t newest_ms)
{
    struct delivery messages[INBOX_PAGE_MESSAGES_MAX];
    char bodies[INBOX_PAGE_MESSAGES_MAX][20];
    struct inbox_page page = {
        .after = ID(first_ms - 1), .newest = ID(newest_ms), .messages = messages};
    for (uint64_t ms = first_ms; ms <= last_ms; ms++) {
        assert_in_range(page.n, 0, INBOX_PAGE_MESSAGES_MAX - 1);
        snprintf(bodies[page.n], sizeof bodies[page.n], "%llu", (unsigned long long)ms);
        messages[page.n] =
            (struct delivery){.from = STR("bob"), .body = str_of(bodies[page.n]), .id = ID(ms)};
        page.n++;
    }
    fake_store_answer_read(&f->store, &page);
}

void when_sends(struct fixture *f, conn_id conn, const char *to, uint64_t ms, uint64_t previous_ms)
{
    char body[20];
    snprintf(body, sizeof body, "%llu", (unsigned long long)ms);
    when_receives(f, conn, msg_to(to, body));
    fake_store_answer_sent(&f->store, (struct sent){.id = ID(ms), .previous = ID(previous_ms)});
}

void when_ticks(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++) {
        router_tick(f->router);
    }
}

/* A heap copy of the exact size, so that a look at it after its time is seen by
 * AddressSanitizer. */
static char *lend(struct str *s)
{
    char *copy = malloc(s->len + 1);
    assert_non_null(copy);
    memcpy(copy, s->ptr == NULL ? "" : s->ptr, s->len);
    s->ptr = copy;
    return copy;
}

static void take_back(char *copy, size_t len)
{
    memset(copy, '#', len);
    free(copy);
}

void when_receives(struct fixture *f, conn_id conn, struct request request)
{
    char *uid = lend(&request.uid);
    char *cid = lend(&request.cid);
    char *body = lend(&request.body);
    char *cid_value = lend(&request.cid_value);
    router_received(f->router, conn, &request);
    take_back(uid, request.uid.len);
    take_back(cid, request.cid.len);
    take_back(body, request.body.len);
    take_back(cid_value, request.cid_value.len);
    fake_store_turn(&f->store);
}
