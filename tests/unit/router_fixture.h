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
int broadcast_setup(void **state); /* with the feature broadcast */
int admins_setup(void **state);    /* the same, and only "admin" and "root" may */
int history_setup(void **state);   /* with the features broadcast and history */
int fixture_teardown(void **state);

#define ZEROS "0000000000000000000000000000000"

/* Requests, and one of them with something wrong or more. */
struct request sign_as(const char *uid);
struct request msg_to(const char *to, const char *body);
struct request broadcast_of(const char *body);
struct request with_since(struct request request, uint64_t ms);
struct request with_invalid_since(struct request request);
struct request with_cid(struct request request, const char *cid_json);
struct request with_cid_value(struct request request, const char *cid);
struct request with_invalid_cid(struct request request);
struct request without_uid(struct request request); /* the uid of a sign, the 'to' of a msg */

/* A new connection, perhaps signed; nothing is left in the transcripts. */
conn_id given_connection(struct fixture *f);
conn_id given_user(struct fixture *f, const char *uid);

/* The id of a message, of those that have a millisecond for themselves. */
#define ID(ms) ((struct message_id){(ms), 0})

/* With history: a connection signed as 'uid' that has got all up to 'newest_ms'. */
conn_id given_device(struct fixture *f, const char *uid, uint64_t newest_ms);

/* With history: answer the oldest read with the messages 'first_ms' to 'last_ms' from "bob", each
 * with its number as its body. None if the last is below the first. */
void when_page(struct fixture *f, uint64_t first_ms, uint64_t last_ms, uint64_t newest_ms);

/* With history: 'conn' sends a msg to 'to', which is stored as 'ms' behind 'previous_ms' and has
 * its number as its body. */
void when_sends(struct fixture *f, conn_id conn, const char *to, uint64_t ms, uint64_t previous_ms);

void when_ticks(struct fixture *f, int n);

/* The router receives the request, whose memory is gone when the call returns. Then the store has
 * its turn. */
void when_receives(struct fixture *f, conn_id conn, struct request request);

/* What the sink was asked to do, and what the store was, since the last look. */
#define then_said(f, want) transcript_expect(&(f)->sink.said, want, __FILE__, __LINE__)
#define then_asked(f, want) transcript_expect(&(f)->store.asked, want, __FILE__, __LINE__)

/* One test, with its fixture. */
#define ROUTER_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define BROADCAST_TEST(test) \
    cmocka_unit_test_setup_teardown(test, broadcast_setup, fixture_teardown)
#define ADMINS_TEST(test) cmocka_unit_test_setup_teardown(test, admins_setup, fixture_teardown)
#define HISTORY_TEST(test) cmocka_unit_test_setup_teardown(test, history_setup, fixture_teardown)

#endif
