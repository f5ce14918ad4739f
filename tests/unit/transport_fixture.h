/* transport_fixture.h - a transport with the real router behind it, on a real loop and real
 * sockets of 127.0.0.1, and clients that write and read raw bytes.
 *
 * What libwebsockets and the kernel do is part of what is tested, so nothing of them is faked.
 * All is in one thread: the words of the tests turn the loop until what they wait for is there,
 * and fail the test if it is not in twenty seconds. */
#ifndef CHAT_TEST_TRANSPORT_FIXTURE_H
#define CHAT_TEST_TRANSPORT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "chat/loop.h"
#include "chat/mapping_store.h"
#include "chat/router.h"
#include "chat/str.h"
#include "chat/transport.h"
#include "fakes/fake_store.h"

#define ZEROS "0000000000000000000000000000000"
#define SIGN(uid) "{\"type\":\"sign\",\"uid\":\"" uid "\"}"
#define MSG(to, body) "{\"type\":\"msg\",\"to\":\"" to "\",\"body\":" body "}"
#define SIGNED(n) "{\"status\":1,\"msg\":\"注册成功\",\"token\":\"" ZEROS n "\"}"
#define SENT "{\"status\":1,\"msg\":\"sended\"}"
#define NOT_SIGNED "{\"status\":0,\"msg\":\"发送失败,未登入\",\"code\":\"not_signed\"}"
#define ILLEGAL "{\"status\":0,\"msg\":\"非法请求\",\"disconnect\":1,\"code\":\"illegal\"}"
#define DELIVERY(from, body) "{\"body\":" body ",\"from\":\"" from "\"}"

enum {
    TEXT = 0x81, /* the first byte of a frame: FIN and the opcode */
    TEXT_MORE = 0x01,
    BINARY = 0x82,
    MORE = 0x00,
    LAST = 0x80,
    CLOSE = 0x88,
    PING = 0x89,
    PONG = 0x8a
};

struct client {
    struct client *next;
    struct fixture *fixture;
    int fd;
    uint8_t *in; /* read, and not yet looked at by the test */
    size_t n_in;
    bool ended; /* the server ended TCP */
};

struct fixture {
    struct loop *loop;
    struct loop_timer *beat;          /* so that no turn sleeps long */
    struct transport_options options; /* a test changes them before given_server() */
    struct mapping_store *store;      /* NULL: the test's own */
    struct router *router;
    struct transport *transport;
    struct client *clients;
    bool is_stopping;
    unsigned n_stopped;
    uint64_t
        turned_ms; /* for how long the loop has turned, without what a busy machine took away */
};

/* For cmocka. The setup makes a loop and nothing on it; the teardown stops the server, if there
 * is one, and sees that nothing of it is left. */
int transport_setup(void **state);
int transport_teardown(void **state);

#define TRANSPORT_TEST(test) \
    cmocka_unit_test_setup_teardown(test, transport_setup, transport_teardown)

/* Turn the loop until done(ctx); false if that takes more than twenty seconds. */
bool run_until(struct fixture *f, bool (*done)(void *ctx), void *ctx);
void run_for(struct fixture *f, uint64_t ms);
uint64_t clock_ms(void);

/* A server on the memory store, or on the test's own. Tokens count: ZEROS "1", ZEROS "2" … */
void given_server(struct fixture *f);
void given_server_on(struct fixture *f, struct mapping_store *store);
void given_server_with(struct fixture *f, struct mapping_store *store,
                       const struct router_options *options);

/* The same with the feature history, on 'store', which this makes; a client becomes a device of
 * "bob" that has got all up to the id "10-0"; the server stops, and 'store' is forgotten. */
void given_server_with_history(struct fixture *f, struct fake_store *store);
void when_is_device(struct client *client, struct fake_store *store);
void forget_history(struct fixture *f, struct fake_store *store);

/* A TCP connection; one whose kernel keeps few bytes that are not read; an upgraded one; a
 * signed one. */
struct client *given_tcp(struct fixture *f);
struct client *given_small_tcp(struct fixture *f);
struct client *given_client(struct fixture *f);
struct client *given_user(struct fixture *f, const char *uid);
void when_upgrades(struct client *client);
void when_signs(struct client *client, const char *uid); /* the reply is read, too */

#define UPGRADE_TO(path, headers)                                                               \
    "GET " path " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" headers "\r\n"
#define UPGRADE UPGRADE_TO("/", "Sec-WebSocket-Version: 13\r\n")

/* Bytes that are put together to leave at once. All zero is empty. */
struct bytes {
    uint8_t *memory;
    size_t len;
};
void add_bytes(struct bytes *bytes, struct str more);
void add_frame(struct bytes *bytes, uint8_t first, struct str payload); /* masked */

/* Send it, in one call if the kernel takes it, and forget it. */
void when_sends_all(struct client *client, struct bytes *bytes);
void when_sends_bytes(struct client *client, struct str bytes);
void when_sends(struct client *client, uint8_t first, struct str payload); /* one masked frame */
void when_says(struct client *client, const char *text);
void when_leaves(struct client *client); /* ends TCP without a word */
void when_resets(struct client *client); /* breaks it off: a RST */

/* Read what is there. For run_until(): until the server has ended TCP. */
void client_read(struct client *client);
bool client_has_ended(void *client);

/* Wait for this frame, whatever comes before it. False: it does not come. */
bool client_awaits(struct client *client, uint8_t first, struct str payload);

/* Close its socket and free it. The teardown does so with all that are left. */
void forget_client(struct fixture *f, struct client *client);

/* Wait until the server has sent the head of an HTTP answer, which begins with 'want'. Caller
 * frees it. */
char *then_http(struct client *client, const char *want);

/* The next frame is this one. */
#define then_frame(client, first, want) expect_frame(client, first, want, __FILE__, __LINE__)
#define then_text(client, want) expect_frame(client, TEXT, str_of(want), __FILE__, __LINE__)
void expect_frame(struct client *client, uint8_t first, struct str want, const char *file,
                  int line);

/* The next frame is a close with 'code'; it is answered, and the server ends TCP. */
#define then_closed(client, code) expect_closed(client, code, __FILE__, __LINE__)
void expect_closed(struct client *client, uint16_t code, const char *file, int line);

/* The server ends TCP, without another byte. */
#define then_ended(client) expect_ended(client, __FILE__, __LINE__)
void expect_ended(struct client *client, const char *file, int line);

/* It is open, and nothing was sent to it: a ping is answered before anything else. */
void then_nothing(struct client *client);

/* So many are signed, at once or soon. */
void then_n_signed(struct fixture *f, size_t n);

/* Ask the transport to stop; then it stops, having said so once. */
void when_stops(struct fixture *f, uint64_t timeout_ms);
void then_stopped(struct fixture *f);

#endif
