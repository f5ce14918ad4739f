#include "fakes/fake_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* " id=…", or nothing. Lent until the next call. */
static const char *id_text(struct message_id id)
{
    static char text[sizeof " id=" + MESSAGE_ID_SIZE_MAX];
    if (message_id_is_none(id)) {
        return "";
    }
    char *end = stpcpy(text, " id=");
    end[message_id_write(id, end)] = '\0';
    return text;
}

static void sink_reply(struct sink *base, conn_id conn, const struct reply *reply)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    assert_in_range(reply->kind, 0, N_REPLY_KINDS - 1);
    assert_int_equal(reply->token.len, reply->kind == REPLY_SIGNED ? TOKEN_SIZE : 0);
    transcript_add(&sink->said, "%llu: %s%s%.*s%s%s%s%s%.*s", (unsigned long long)conn,
                   reply_names[reply->kind], reply->token.len > 0 ? " token=" : "",
                   (int)reply->token.len, reply->token.ptr, id_text(reply->id),
                   reply->is_dup ? " dup" : "", reply->has_gap ? " gap" : "",
                   reply->cid.len > 0 ? " cid=" : "", (int)reply->cid.len, reply->cid.ptr);
}

static int compare_conns(const void *a, const void *b)
{
    conn_id first = *(const conn_id *)a;
    conn_id second = *(const conn_id *)b;
    return (first > second) - (first < second);
}

/* A broadcast's are in no order, and are written down in that of their numbers. */
static void sink_deliver(struct sink *base, const conn_id *conns, size_t n,
                         const struct delivery *delivery)
{
    struct fake_sink *sink = (struct fake_sink *)base;
    enum {
        N_MAX = 20
    };
    assert_in_range(n, 1, N_MAX);
    conn_id in_order[N_MAX];
    memcpy(in_order, conns, n * sizeof *conns);
    if (delivery->is_broadcast) {
        qsort(in_order, n, sizeof *in_order, compare_conns);
    }
    char list[512];
    int len = 0;
    for (size_t i = 0; i < n; i++) {
        len += snprintf(list + len, sizeof list - (size_t)len, "%s%llu", i > 0 ? " " : "",
                        (unsigned long long)in_order[i]);
    }
    struct str body = sink->is_brief ? STR("…") : delivery->body;
    transcript_add(&sink->said, "%s: %sfrom %.*s: %.*s%s", list,
                   delivery->is_broadcast ? "broadcast " : "", (int)delivery->from.len,
                   delivery->from.ptr, (int)body.len, body.ptr, id_text(delivery->id));
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
