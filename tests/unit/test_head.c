/* [WS-1], [WS-4] The head of a request: where it ends, and what it asks for, by RFC 9112 and
 * RFC 6455. Each head is cut at every byte: that makes no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "chat/str.h"
#include "exact_copy.h"
#include "transport/head.h"

#define HOST "Host: a\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define GET "GET / HTTP/1.1\r\n"
/* A handshake with this among its fields. */
#define WITH(field) STR_INIT(GET HOST UPGRADE CONNECTION KEY VERSION field "\r\n")
/* With these in place of the ones that it has. */
#define HANDSHAKE(first, host, upgrade, connection, key, version) \
    STR_INIT(first host upgrade connection key version "\r\n")
#define FIRST(line) HANDSHAKE(line "\r\n", HOST, UPGRADE, CONNECTION, KEY, VERSION)
#define TARGET(target) FIRST("GET " target " HTTP/1.1")
#define OF_HOST(host) HANDSHAKE(GET, host, UPGRADE, CONNECTION, KEY, VERSION)
#define OF_UPGRADE(upgrade) HANDSHAKE(GET, HOST, upgrade, CONNECTION, KEY, VERSION)
#define OF_CONNECTION(connection) HANDSHAKE(GET, HOST, UPGRADE, connection, KEY, VERSION)
#define OF_KEY(key) HANDSHAKE(GET, HOST, UPGRADE, CONNECTION, key, VERSION)
#define OF_VERSION(version) HANDSHAKE(GET, HOST, UPGRADE, CONNECTION, KEY, version)

struct row {
    int line;
    struct str bytes;
    const char *want; /* "upgrade", "health", "ready", a status; "broken", "more": it has no end */
};

static const struct row rows[] = {
    {__LINE__, WITH(""), "upgrade"},
    {__LINE__, STR_INIT("\r\n" GET HOST UPGRADE CONNECTION KEY VERSION "\r\n"), "upgrade"},
    {__LINE__, STR_INIT("\r\n\r\n"), "broken"},
    {__LINE__, STR_INIT("\r\n"), "more"},
    {__LINE__, STR_INIT(GET HOST), "more"},
    {__LINE__, STR_INIT(GET HOST "\r"), "more"},

    /* The ends of lines, and bytes that may not stand in them. */
    {__LINE__, STR_INIT("GET / HTTP/1.1\n" HOST "\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "Host: a\n\r\n"), "broken"},
    {__LINE__, STR_INIT(GET HOST "\n"), "broken"},
    {__LINE__, STR_INIT(GET HOST "\r\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "\r\r\nHost: a\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "Host: a\rX: b\r\n\r\n"), "broken"},
    {__LINE__, STR_INIT("\n" GET HOST "\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "Host: a\0\r\n\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "X: \x01\r\n\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "X: \x0b\r\n\r\n"), "broken"},
    {__LINE__, STR_INIT(GET "X: \x7f\r\n\r\n"), "broken"},
    {__LINE__, STR_INIT("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), "broken"},
    {__LINE__, STR_INIT("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"), "broken"},
    {__LINE__, STR_INIT("\x16\x03\x01\x02\x00"), "broken"}, /* TLS */
    {__LINE__, STR_INIT("\x81\x02{}"), "broken"},           /* a frame */
    {__LINE__, WITH("X: \xc3\xa4\xff\tb\r\n"), "upgrade"},

    /* The request line. */
    {__LINE__, FIRST("GET  / HTTP/1.1"), "400"},
    {__LINE__, FIRST("GET /  HTTP/1.1"), "400"},
    {__LINE__, FIRST(" GET / HTTP/1.1"), "400"},
    {__LINE__, FIRST("GET / HTTP/1.1 "), "400"},
    {__LINE__, FIRST("GET / a HTTP/1.1"), "400"},
    {__LINE__, FIRST("GET /"), "400"},
    {__LINE__, FIRST("GET"), "400"},
    {__LINE__, FIRST("G@T / HTTP/1.1"), "400"},
    {__LINE__, FIRST("GET / http/1.1"), "400"},
    {__LINE__, FIRST("GET / HTTP/1.10"), "400"},
    {__LINE__, FIRST("GET / HTTP/11"), "400"},
    {__LINE__, FIRST("GET / HTTP/1,1"), "400"},
    {__LINE__, FIRST("GET / HTTPS/1.1"), "400"},
    {__LINE__, FIRST("GET / HTTP/1.0"), "505"},
    {__LINE__, FIRST("GET / HTTP/1.2"), "505"},
    {__LINE__, FIRST("GET / HTTP/2.0"), "505"},
    {__LINE__, FIRST("GET / HTTP/0.9"), "505"},
    {__LINE__, STR_INIT("PRI * HTTP/2.0\r\n\r\n"), "505"},
    {__LINE__, FIRST("get / HTTP/1.1"), "405"},
    {__LINE__, FIRST("POST / HTTP/1.1"), "405"},
    {__LINE__, FIRST("PUT /healthz HTTP/1.1"), "405"},
    {__LINE__, FIRST("OPTIONS * HTTP/1.1"), "405"},
    {__LINE__, FIRST("CONNECT a:80 HTTP/1.1"), "405"},
    {__LINE__, FIRST("TRACE / HTTP/1.1"), "405"},
    {__LINE__, FIRST("HEAD / HTTP/1.1"), "426"},
    {__LINE__, TARGET("/any/path?x=/%20&y"), "upgrade"},
    {__LINE__, TARGET("/?"), "upgrade"},
    {__LINE__, TARGET("http://a/"), "upgrade"},
    {__LINE__, TARGET("HTTPS://a.example:443/x?y"), "upgrade"},
    {__LINE__, TARGET("ws://[::1]:80"), "upgrade"},
    {__LINE__, TARGET("http://a?x"), "upgrade"},
    {__LINE__, TARGET("http:///"), "400"},
    {__LINE__, TARGET("http://:80/"), "400"},
    {__LINE__, TARGET("http://u@a/"), "400"},
    {__LINE__, TARGET("ftp://a/"), "400"},
    {__LINE__, TARGET("/#x"), "400"},
    {__LINE__, TARGET("*"), "400"},
    {__LINE__, TARGET("a:80"), "400"},
    {__LINE__, TARGET("index"), "400"},

    /* Fields. */
    {__LINE__, WITH("X:\r\n"), "upgrade"},
    {__LINE__, WITH("x-!#$%&'*+.^_`|~9: 1\r\n"), "upgrade"},
    {__LINE__, WITH("Sec-WebSocket-Protocol: chat, superchat\r\n"), "upgrade"},
    {__LINE__, WITH("Sec-WebSocket-Extensions: permessage-deflate; a=\"b\"\r\n"), "upgrade"},
    {__LINE__, WITH("Expect: 100-continue\r\n"), "upgrade"},
    {__LINE__, WITH("HTTP2-Settings: AAMAAABkAAQAAP__\r\n"), "upgrade"},
    {__LINE__, WITH("X : 1\r\n"), "400"},
    {__LINE__, WITH("X\t: 1\r\n"), "400"},
    {__LINE__, WITH(": 1\r\n"), "400"},
    {__LINE__, WITH("X\r\n"), "400"},
    {__LINE__, WITH("X y: 1\r\n"), "400"},
    {__LINE__, WITH("X\xc3\xa4: 1\r\n"), "400"},
    {__LINE__, WITH("X(): 1\r\n"), "400"},
    {__LINE__, WITH("X: 1\r\n folded\r\n"), "400"},
    {__LINE__, WITH("X: 1\r\n\tfolded\r\n"), "400"},
    {__LINE__, WITH(" \r\n"), "400"},
    {__LINE__, STR_INIT(GET " Host: a\r\n\r\n"), "400"},

    /* Host. */
    {__LINE__, OF_HOST("hOST:\t a.example:9502 \t\r\n"), "upgrade"},
    {__LINE__, OF_HOST("Host: [2001:db8::1]:80\r\n"), "upgrade"},
    {__LINE__, OF_HOST("Host:\r\n"), "upgrade"},
    {__LINE__, OF_HOST("Host: a:\r\n"), "upgrade"},
    {__LINE__, OF_HOST(""), "400"},
    {__LINE__, OF_HOST(HOST HOST), "400"},
    {__LINE__, OF_HOST("Host: a, b\r\n"), "400"},
    {__LINE__, OF_HOST("Host: a/b\r\n"), "400"},
    {__LINE__, OF_HOST("Host: u@a\r\n"), "400"},
    {__LINE__, OF_HOST("Host: a:b\r\n"), "400"},
    {__LINE__, OF_HOST("Host: []\r\n"), "400"},
    {__LINE__, OF_HOST("Host: [::1\r\n"), "400"},
    {__LINE__, OF_HOST("Host: \xff\r\n"), "400"},

    /* Upgrade and Connection are lists, of one line or more. */
    {__LINE__, OF_UPGRADE("upgrade:WebSocket\r\n"), "upgrade"},
    {__LINE__, OF_UPGRADE("Upgrade: h2c, websocket\r\n"), "upgrade"},
    {__LINE__, OF_UPGRADE("Upgrade: h2c\r\nUpgrade: ,websocket ,, TLS/1.0\r\n"), "upgrade"},
    {__LINE__, OF_UPGRADE(""), "426"},
    {__LINE__, OF_UPGRADE("Upgrade:\r\n"), "426"},
    {__LINE__, OF_UPGRADE("Upgrade: h2c\r\n"), "426"},
    {__LINE__, OF_UPGRADE("Upgrade: websockets\r\n"), "426"},
    {__LINE__, OF_UPGRADE("Upgrade: xwebsocket, websocket/13\r\n"), "426"},
    {__LINE__, OF_UPGRADE("Upgrade: web socket\r\n"), "400"},
    {__LINE__, OF_UPGRADE("Upgrade: \"websocket\"\r\n"), "400"},
    {__LINE__, OF_UPGRADE("Upgrade: websocket;q=1\r\n"), "400"},
    {__LINE__, OF_UPGRADE("Upgrade: websocket, a/b/c\r\n"), "400"},
    {__LINE__, OF_UPGRADE("Upgrade: websocket, /\r\n"), "400"},
    {__LINE__, OF_CONNECTION("connection: keep-alive,UPGRADE\r\n"), "upgrade"},
    {__LINE__, OF_CONNECTION("Connection: keep-alive\r\nConnection: Upgrade\r\n"), "upgrade"},
    {__LINE__, OF_CONNECTION("Connection: keep-alive\r\n"), "400"},
    {__LINE__, OF_CONNECTION("Connection: Upgraded\r\n"), "400"},
    {__LINE__, OF_CONNECTION("Connection: Upgrade close\r\n"), "400"},
    {__LINE__, OF_CONNECTION(""), "400"},

    /* The key and the version. */
    {__LINE__, OF_KEY("SEC-WEBSOCKET-KEY:  AQIDBAUGBwgJCgsMDQ4PEC== \r\n"), "upgrade"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: +/+/+/+/+/+/+/+/+/+/+w==\r\n"), "upgrade"},
    {__LINE__, OF_KEY(""), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key:\r\n"), "400"},
    {__LINE__, OF_KEY(KEY KEY), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n"), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n"), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQA=\r\n"), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n"), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBs-SBub25jZQ==\r\n"), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBs SBub25jZQ==\r\n"), "400"},
    {__LINE__, OF_KEY("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, x\r\n"), "400"},
    {__LINE__, OF_VERSION("Sec-WebSocket-Version:13\t\r\n"), "upgrade"},
    {__LINE__, OF_VERSION(""), "426"},
    {__LINE__, OF_VERSION("Sec-WebSocket-Version: 8\r\n"), "426"},
    {__LINE__, OF_VERSION("Sec-WebSocket-Version: 12\r\n"), "426"},
    {__LINE__, OF_VERSION("Sec-WebSocket-Version: 013\r\n"), "426"},
    {__LINE__, OF_VERSION("Sec-WebSocket-Version: 13, 8\r\n"), "426"},
    {__LINE__, OF_VERSION(VERSION VERSION), "400"},

    /* Behind the head stand frames. */
    {__LINE__, WITH("Content-Length: 0\r\n"), "upgrade"},
    {__LINE__, WITH("Content-Length: 5\r\n"), "400"},
    {__LINE__, WITH("Content-Length: -0\r\n"), "400"},
    {__LINE__, WITH("Content-Length:\r\n"), "400"},
    {__LINE__, WITH("Content-Length: 0\r\nContent-Length: 0\r\n"), "400"},
    {__LINE__, WITH("Transfer-Encoding: chunked\r\n"), "400"},
    {__LINE__, WITH("transfer-encoding:\r\n"), "400"},
    {__LINE__, WITH("Origin: http://a\r\n"), "upgrade"},
    {__LINE__, WITH("Origin: http://a\r\nOrigin: http://b\r\n"), "400"},

    /* Plain HTTP. */
    {__LINE__, STR_INIT("GET /healthz HTTP/1.1\r\n" HOST "\r\n"), "health"},
    {__LINE__, STR_INIT("HEAD /healthz?x HTTP/1.1\r\n" HOST "\r\n"), "health"},
    {__LINE__, STR_INIT("GET http://a/healthz HTTP/1.1\r\n" HOST "\r\n"), "health"},
    {__LINE__, STR_INIT("GET /readyz HTTP/1.1\r\n" HOST "\r\n"), "ready"},
    {__LINE__, STR_INIT("GET /readyz HTTP/1.0\r\n\r\n"), "ready"},
    {__LINE__, STR_INIT("GET /readyz HTTP/1.0\r\nHost: a b\r\n\r\n"), "400"},
    {__LINE__, STR_INIT("GET /readyz HTTP/1.1\r\n\r\n"), "400"},
    {__LINE__, STR_INIT("GET /readyzz HTTP/1.1\r\n" HOST "\r\n"), "426"},
    {__LINE__, STR_INIT("GET /ready HTTP/1.1\r\n" HOST "\r\n"), "426"},
    {__LINE__, STR_INIT("GET /Healthz HTTP/1.1\r\n" HOST "\r\n"), "426"},
    {__LINE__, STR_INIT("GET //healthz HTTP/1.1\r\n" HOST "\r\n"), "426"},
    {__LINE__, STR_INIT("GET / HTTP/1.0\r\n\r\n"), "505"},
    {__LINE__, STR_INIT("DELETE /readyz HTTP/1.1\r\n" HOST "\r\n"), "405"},
    {__LINE__, STR_INIT("GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n"), "400"},
};

static enum head_progress follow_cut(struct str bytes, size_t cut, size_t *n_taken)
{
    struct head_lines lines = {0};
    enum head_progress progress = head_follow(&lines, (struct str){bytes.ptr, cut}, n_taken);
    if (progress == HEAD_MORE) {
        assert_int_equal(*n_taken, cut);
        progress = head_follow(&lines, (struct str){bytes.ptr + cut, bytes.len - cut}, n_taken);
        *n_taken += cut;
    }
    return progress;
}

static const char *judged(struct str bytes)
{
    static char status[4];
    static const char *const words[] = {[HEAD_ASKS_UPGRADE] = "upgrade",
                                        [HEAD_ASKS_HEALTH] = "health",
                                        [HEAD_ASKS_READY] = "ready"};
    struct head head;
    char *exact = exact_copy(bytes); /* so that a byte too far is seen */
    head_judge((struct str){exact, bytes.len}, &head);
    free(exact);
    if (head.asks != HEAD_IS_REFUSED) {
        assert_null(head.refusal);
        return words[head.asks];
    }
    memcpy(status, head.refusal->status, 3);
    return status;
}

static void test_heads(void **state)
{
    (void)state;
    static const char *const unended[] = {[HEAD_MORE] = "more", [HEAD_BROKEN] = "broken"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        for (size_t cut = 0; cut <= row->bytes.len; cut++) {
            size_t n_taken = 0;
            enum head_progress progress = follow_cut(row->bytes, cut, &n_taken);
            const char *got = progress == HEAD_END ? judged((struct str){row->bytes.ptr, n_taken})
                                                   : unended[progress];
            if (strcmp(got, row->want) != 0 ||
                (progress == HEAD_END && n_taken != row->bytes.len)) {
                fail_msg("line %d, cut at %zu: %s, %zu bytes", row->line, cut, got, n_taken);
            }
        }
    }
}

/* What stands behind it is not the head's. */
static void test_end_is_found_before_what_follows(void **state)
{
    (void)state;
    struct str bytes = STR(GET HOST "\r\n\x81\x85more\r\n\r\n");
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        size_t n_taken = 0;
        assert_int_equal(follow_cut(bytes, cut, &n_taken), HEAD_END);
        assert_int_equal(n_taken, strlen(GET HOST "\r\n"));
    }
}

static void test_key_is_the_one_that_was_sent(void **state)
{
    (void)state;
    static const struct str bytes = OF_KEY("sec-websocket-KEY:\t AQIDBAUGBwgJCgsMDQ4PEC== \r\n");
    struct head head;

    head_judge(bytes, &head);

    assert_memory_equal(head.key, "AQIDBAUGBwgJCgsMDQ4PEC==", HEAD_KEY_SIZE);
    assert_false(head.without_body);
}

static void test_answer_to_head_has_no_body(void **state)
{
    (void)state;
    struct head head;
    char text[HTTP_ANSWER_SIZE_MAX];

    head_judge(STR("HEAD / HTTP/1.1\r\n" HOST "\r\n"), &head);

    assert_true(head.without_body);
    size_t with = http_answer_write(head.refusal, false, text);
    size_t without = http_answer_write(head.refusal, true, text);
    assert_int_equal(with - without, strlen(head.refusal->text));
    assert_memory_equal(text + without - 4, "\r\n\r\n", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_end_is_found_before_what_follows),
        cmocka_unit_test(test_key_is_the_one_that_was_sent),
        cmocka_unit_test(test_answer_to_head_has_no_body),
    };
    return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
