/* router_fixture.h - a router between a fake sink and a fake store, and the words of its tests. */
#ifndef CHAT_TEST_ROUTER_FIXTURE_H
#define CHAT_TEST_ROUTER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chat/router.h"
#include "fakes/fake_sink.h"
#include "fakes/fake_store.h"

struct fixture {
    struct fake_sink sink;
    struct fake_store store;
    struct router *router;
    conn_id last_conn;
};

/* For cmocka: a fresh fixture for each test. Tokens count: ZEROS "1", ZEROS "2" … */
int fixture_setup(void **state);
int fixture_teardown(void **state);

#define ZEROS "0000000000000000000000000000000"

/* Requests, and one of them with something wrong or more. */
struct request sign_as(const char *uid);
struct request msg_to(const char *to, const char *body);
struct request with_cid(struct request request, const char *cid_json);
struct request with_invalid_cid(struct request request);
struct request without_uid(struct request request); /* the uid of a sign, the 'to' of a msg */

/* A new connection, perhaps signed; nothing is left in the transcripts. */
conn_id given_connection(struct fixture *f);
conn_id given_user(struct fixture *f, const char *uid);

/* The router receives the request, whose memory is gone when the call returns. */
void when_receives(struct fixture *f, conn_id conn, struct request request);

/* What the sink was asked to do, and what the store was, since the last look. */
#define then_said(f, want) transcript_expect(&(f)->sink.said, want, __FILE__, __LINE__)
#define then_asked(f, want) transcript_expect(&(f)->store.asked, want, __FILE__, __LINE__)

/* One test, with its fixture. */
#define ROUTER_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
