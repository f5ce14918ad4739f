#include "chat/request.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "chat/parser.h"

enum {
    REPLY_HEAD_SIZE_MAX = 80,
    WEBSOCKET_HEADER_SIZE_MAX = 10, /* of the frame that a delivery travels in */
    TIME_SIZE_MAX = 21,             /* of a 64-bit integer, with snprintf's terminator */

    /* The longest way to write a cid: each of its bytes as an escape such as \u0041. */
    ESCAPED_SIZE_MAX = 6,
    CID_TEXT_SIZE_MAX = CID_SIZE_MAX * ESCAPED_SIZE_MAX + 2
};

/* Each reply without its cid and the last '}'; REPLY_SIGNED also without its token and what
 * closes it. */
static const char reply_heads[N_REPLY_KINDS][REPLY_HEAD_SIZE_MAX + 1] = {
    [REPLY_SIGNED] = "{\"status\":1,\"msg\":\"注册成功\",\"token\":\"",
    [REPLY_SENT] = "{\"status\":1,\"msg\":\"sended\"",
    [REPLY_NOT_SIGNED] = "{\"status\":0,\"msg\":\"发送失败,未登入\",\"code\":\"not_signed\"",
    [REPLY_INVALID_CID] = "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_cid\"",
    [REPLY_INVALID_UID] = "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_uid\"",
    [REPLY_INVALID_TO] = "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_to\"",
    [REPLY_INVALID_SINCE] = "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"invalid_since\"",
    [REPLY_MISSING_BODY] = "{\"status\":0,\"msg\":\"参数错误\",\"code\":\"missing_body\"",
    [REPLY_DENIED] = "{\"status\":0,\"msg\":\"没有权限\",\"code\":\"denied\"",
    [REPLY_FULL] = "{\"status\":0,\"msg\":\"对方离线消息已满\",\"code\":\"full\"",
    [REPLY_UNAVAILABLE] = "{\"status\":0,\"msg\":\"服务不可用\",\"code\":\"unavailable\"",
    [REPLY_ILLEGAL] = "{\"status\":0,\"msg\":\"非法请求\",\"disconnect\":1,\"code\":\"illegal\"",
};

#define ID_HEAD ",\"id\":\""
#define ID_END "\""
#define DUP ",\"dup\":1"
#define GAP ",\"gap\":1"
#define CID_HEAD ",\"cid\":"
#define DELIVERY_HEAD "{\"body\":"
#define DELIVERY_FROM ",\"from\":\""
#define DELIVERY_FROM_END "\""
#define DELIVERY_TIME ",\"time\":"
#define DELIVERY_BROADCAST ",\"broadcast\":1"
#define DELIVERY_END "}"

#define LENGTH(text) (sizeof(text) - 1)

/* Every member that there is: no reply has them all. */
static_assert(REPLY_HEAD_SIZE_MAX + TOKEN_SIZE + LENGTH("\"") + LENGTH(ID_HEAD ID_END) +
                      MESSAGE_ID_SIZE_MAX + LENGTH(DUP GAP CID_HEAD) + CID_TEXT_SIZE_MAX +
                      LENGTH("}") <=
                  REPLY_SIZE_MAX,
              "the longest reply fits");

/* All of a delivery but its body. */
#define DELIVERY_FRAME_SIZE_MAX                                                        \
    (LENGTH(DELIVERY_HEAD DELIVERY_FROM DELIVERY_FROM_END ID_HEAD ID_END DELIVERY_TIME \
                DELIVERY_BROADCAST DELIVERY_END) +                                     \
     MESSAGE_ID_SIZE_MAX + TIME_SIZE_MAX)

static_assert(DELIVERY_FRAME_SIZE_MAX + UID_SIZE_MAX * ESCAPED_SIZE_MAX +
                      WEBSOCKET_HEADER_SIZE_MAX <=
                  DELIVERY_ROOM,
              "what can be received can be delivered");

/* Append 's' at 'p'; return the place behind it. */
static char *put(char *p, struct str s)
{
    memcpy(p, s.ptr, s.len);
    return p + s.len;
}

static char *put_id(char *p, struct message_id id)
{
    p = put(p, STR(ID_HEAD));
    p += message_id_write(id, p);
    return put(p, STR(ID_END));
}

size_t reply_write(const struct reply *reply, char *out)
{
    char *p = put(out, str_of(reply_heads[reply->kind]));
    if (reply->kind == REPLY_SIGNED) {
        assert(reply->token.len == TOKEN_SIZE);
        p = put(p, reply->token);
        p = put(p, STR("\""));
    }
    if (!message_id_is_none(reply->id)) {
        p = put_id(p, reply->id);
    }
    if (reply->is_dup) {
        p = put(p, STR(DUP));
    }
    if (reply->has_gap) {
        p = put(p, STR(GAP));
    }
    if (reply->cid.len > 0) {
        assert(reply->kind != REPLY_ILLEGAL && reply->cid.len <= CID_TEXT_SIZE_MAX);
        p = put(p, STR(CID_HEAD));
        p = put(p, reply->cid);
    }
    p = put(p, STR("}"));
    return (size_t)(p - out);
}

/* Append 's' as it stands between the quotes of a JSON string; return the place behind it. */
static char *put_escaped(char *p, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '"' || c == '\\') {
            *p++ = '\\';
            *p++ = c;
        } else if ((unsigned char)c < 0x20) {
            p = put(p, STR("\\u00"));
            *p++ = "0123456789abcdef"[c >> 4];
            *p++ = "0123456789abcdef"[c & 0xF];
        } else {
            *p++ = c;
        }
    }
    return p;
}

size_t delivery_size_max(const struct delivery *delivery)
{
    return DELIVERY_FRAME_SIZE_MAX + delivery->body.len + delivery->from.len * ESCAPED_SIZE_MAX;
}

size_t delivery_write(const struct delivery *delivery, char *out)
{
    char *p = put(out, STR(DELIVERY_HEAD));
    p = put(p, delivery->body);
    p = put(p, STR(DELIVERY_FROM));
    p = put_escaped(p, delivery->from);
    p = put(p, STR(DELIVERY_FROM_END));
    if (!message_id_is_none(delivery->id)) {
        p = put_id(p, delivery->id);
        p = put(p, STR(DELIVERY_TIME));
        p += snprintf(p, TIME_SIZE_MAX, "%" PRIu64, delivery->id.ms);
    }
    if (delivery->is_broadcast) {
        p = put(p, STR(DELIVERY_BROADCAST));
    }
    p = put(p, STR(DELIVERY_END));
    return (size_t)(p - out);
}
