#include "fakes/fake_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const reply_names[N_REPLY_KINDS] = {
    [REPLY_SIGNED] = "signed",
    [REPLY_SENT] = "sended",
    [REPLY_NOT_SIGNED] = "not_signed",
    [REPLY_INVALID_CID] = "invalid_cid",
    [REPLY_INVALID_UID] = "invalid_uid",
    [REPLY_INVALID_TO] = "invalid_to",
    [REPLY_INVALID_SINCE] = "invalid_since",
    [REPLY_MISSING_BODY] = "missing_body",
    [REPLY_DENIED] = "denied",
    [REPLY_FULL] = "full",
    [REPLY_UNAVAILABLE] = "unavailable",
    [REPLY_ILLEGAL] = "illegal",
};

static void sink_reply(struct sink *base, conn_id conn, const struct reply *reply)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    assert_in_range(reply->kind, 0, N_REPLY_KINDS - 1);
    assert_int_equal(reply->token.len, reply->kind == REPLY_SIGNED ? TOKEN_SIZE : 0);
    transcript_add(&sink->said, "%llu: %s%s%.*s%s%.*s", (unsigned long long)conn,
                   reply_names[reply->kind], reply->token.len > 0 ? " token=" : "",
                   (int)reply->token.len, reply->token.ptr, reply->cid.len > 0 ? " cid=" : "",
                   (int)reply->cid.len, reply->cid.ptr);
}

static void sink_deliver(struct sink *base, const conn_id *conns, size_t n,
                         const struct delivery *delivery)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    assert_in_range(n, 1, 20);
    char list[512];
    int len = 0;
    for (size_t i = 0; i < n; i++) {
        len += snprintf(list + len, sizeof list - (size_t)len, "%s%llu", i > 0 ? " " : "",
                        (unsigned long long)conns[i]);
    }
    transcript_add(&sink->said, "%s: from %.*s: %.*s", list, (int)delivery->from.len,
                   delivery->from.ptr, (int)delivery->body.len, delivery->body.ptr);
}

static void sink_close(struct sink *base, conn_id conn, uint16_t code)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    transcript_add(&sink->said, "%llu: close %u", (unsigned long long)conn, code);
}

static void sink_receive_more(struct sink *base, conn_id conn, bool more)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    transcript_add(&sink->said, "%llu: %s", (unsigned long long)conn, more ? "go on" : "stop");
}

static void sink_ping(struct sink *base, conn_id conn, struct str payload)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    transcript_add(&sink->said, "%llu: ping %.*s", (unsigned long long)conn, (int)payload.len,
                   payload.ptr);
}

static bool sink_takes_more(struct sink *base, conn_id conn)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    return conn != sink->slow_conn || sink->slow_room-- > 0;
}

static const struct sink_ops fake_sink_ops = {
    .reply = sink_reply,
    .deliver = sink_deliver,
    .ping = sink_ping,
    .takes_more = sink_takes_more,
    .close = sink_close,
    .receive_more = sink_receive_more,
};

void fake_sink_init(struct fake_sink *sink)
{
    *sink = (struct fake_sink){.base = {&fake_sink_ops}};
}

void fake_sink_fini(struct fake_sink *sink)
{
    transcript_clear(&sink->said);
}
