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

int fixture_setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    fake_sink_init(&f->sink);
    fake_store_init(&f->store);
    f->router = router_create(&f->sink.base, &f->store.base, count_up, &(struct router_options){0});
    n_tokens = 0;
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    router_destroy(f->router);
    fake_store_fini(&f->store);
    fake_sink_fini(&f->sink);
    free(f);
    return 0;
}

struct request sign_as(const char *uid)
{
    return (struct request){
        .type = REQUEST_SIGN, .cid_valid = true, .uid_valid = true, .uid = str_of(uid)};
}

struct request msg_to(const char *to, const char *body)
{
    return (struct request){.type = REQUEST_MSG,
                            .cid_valid = true,
                            .uid_valid = true,
                            .uid = str_of(to),
                            .body = str_of(body)};
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
    router_received(f->router, conn, &request);
    take_back(uid, request.uid.len);
    take_back(cid, request.cid.len);
    take_back(body, request.body.len);
}
