#include "chat/request.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdint.h>

#include "chat/parser.h"
#include "parser/json_scan.h"

/* The members that some request has. Every other is ignored. */
enum member {
    MEMBER_TYPE,
    MEMBER_UID,
    MEMBER_TO,
    MEMBER_BODY,
    MEMBER_CID,
    MEMBER_SINCE,
    N_MEMBERS,
    MEMBER_NONE = N_MEMBERS
};

static const struct str member_names[N_MEMBERS] = {
    [MEMBER_TYPE] = {"type", 4}, [MEMBER_UID] = {"uid", 3}, [MEMBER_TO] = {"to", 2},
    [MEMBER_BODY] = {"body", 4}, [MEMBER_CID] = {"cid", 3}, [MEMBER_SINCE] = {"since", 5},
};

/* The request types, and which member of each is a uid. */
static const struct {
    struct str name;
    enum member uid;
} request_types[N_REQUEST_TYPES] = {
    [REQUEST_SIGN] = {{"sign", 4}, MEMBER_UID},
    [REQUEST_MSG] = {{"msg", 3}, MEMBER_TO},
    [REQUEST_BROADCAST] = {{"broadcast", 9}, MEMBER_NONE},
};

enum {
    MEMBER_NAME_SIZE_MAX = 5,
    TYPE_NAME_SIZE_MAX = 9,
    UID_INTEGER_DIGITS_MAX = 16
};

/* The largest integer that every JSON reader gets right, 2^53 - 1: [UID-2]. */
static const uint64_t uid_integer_max = 9007199254740991;

/* Decode 'string' if it is a string of at most 'size_max' bytes; else return false. The limit comes
 * first, so nothing big is ever decoded. '*out' is a view of the text, or of 'room', of 'size_max'
 * bytes, if there are escapes. */
static bool decode(const struct json_value *string, char *room, size_t size_max, struct str *out)
{
    if (string->kind != JSON_STRING || string->decoded_len > size_max) {
        return false;
    }
    if (!string->has_escapes) {
        *out = (struct str){string->text.ptr + 1, string->decoded_len};
        return true;
    }
    cJSON *item = cJSON_ParseWithLength(string->text.ptr, string->text.len);
    const char *decoded = cJSON_GetStringValue(item);
    assert(decoded != NULL); /* it has been scanned, so only memory can be missing */
    /* By its length: at U+0000, where a C string ends, cJSON's memory goes on. */
    memcpy(room, decoded, string->decoded_len);
    *out = (struct str){room, string->decoded_len};
    cJSON_Delete(item);
    return true;
}

/* Of members with the same name the last one counts, and so it replaces the one before:
 * [JSON-5]. */
static void keep_member(void *ctx, const struct json_value *name, const struct json_value *value)
{
    struct json_value *members = ctx;
    char room[MEMBER_NAME_SIZE_MAX];
    struct str decoded;
    if (!decode(name, room, sizeof room, &decoded)) {
        return;
    }
    for (int i = 0; i < N_MEMBERS; i++) {
        if (str_eq(decoded, member_names[i])) {
            members[i] = *value;
            return;
        }
    }
}

static bool find_type(const struct json_value *value, enum request_type *out)
{
    char room[TYPE_NAME_SIZE_MAX];
    struct str decoded;
    if (!decode(value, room, sizeof room, &decoded)) {
        return false;
    }
    for (int i = 0; i < N_REQUEST_TYPES; i++) {
        if (str_eq(decoded, request_types[i].name)) {
            *out = (enum request_type)i;
            return true;
        }
    }
    return false;
}

/* [UID-1] A string of 1 to UID_SIZE_MAX bytes without control characters. */
static bool uid_of_string(const struct json_value *value, char *room, struct str *out)
{
    struct str decoded;
    if (!decode(value, room, UID_SIZE_MAX, &decoded) || decoded.len == 0) {
        return false;
    }
    for (size_t i = 0; i < decoded.len; i++) {
        unsigned char byte = (unsigned char)decoded.ptr[i];
        if (byte < 0x20 || byte == 0x7F) {
            return false;
        }
    }
    *out = decoded;
    return true;
}

/* [UID-2] An integer is the uid of its digits; "-0" is 0, and so "0". */
static bool uid_of_integer(struct str text, struct str *out)
{
    bool negative = text.ptr[0] == '-';
    struct str digits = {text.ptr + negative, text.len - negative};
    if (digits.len > UID_INTEGER_DIGITS_MAX) {
        return false;
    }
    uint64_t magnitude = 0;
    for (size_t i = 0; i < digits.len; i++) {
        magnitude = magnitude * 10 + (uint64_t)(digits.ptr[i] - '0');
    }
    if (magnitude > uid_integer_max) {
        return false;
    }
    *out = magnitude == 0 ? digits : text;
    return true;
}

static bool parse_uid(const struct json_value *value, char *room, struct str *out)
{
    if (value->kind == JSON_INTEGER) {
        return uid_of_integer(value->text, out);
    }
    return uid_of_string(value, room, out);
}

/* [CID-1] A string of 1 to CID_SIZE_MAX bytes, whichever. Its text is echoed, its value tells a
 * retry ([HIST-18]). */
static void parse_cid(const struct json_value *value, struct request *out)
{
    out->cid = (struct str){NULL, 0};
    out->cid_value = out->cid;
    out->cid_valid = value->kind == JSON_ABSENT;
    if (decode(value, out->cid_decoded, CID_SIZE_MAX, &out->cid_value) && value->decoded_len > 0) {
        out->cid_valid = true;
        out->cid = value->text;
    }
}

/* [HIST-9] */
static void parse_since(const struct json_value *value, struct request *out)
{
    char room[MESSAGE_ID_SIZE_MAX];
    struct str text;
    out->has_since = value->kind != JSON_ABSENT;
    out->since = MESSAGE_ID_NONE;
    out->since_valid = !out->has_since || (decode(value, room, sizeof room, &text) &&
                                           message_id_parse(text, &out->since));
}

enum err request_parse(struct str text, struct request *out)
{
    struct json_value members[N_MEMBERS] = {0};
    enum request_type type;
    if (!json_scan_object(text, keep_member, members) || !find_type(&members[MEMBER_TYPE], &type)) {
        return ERR_ILLEGAL;
    }
    enum member uid = request_types[type].uid;
    out->type = type;
    parse_cid(&members[MEMBER_CID], out);
    out->uid = (struct str){NULL, 0};
    out->uid_valid = uid != MEMBER_NONE && parse_uid(&members[uid], out->decoded, &out->uid);
    out->body = members[MEMBER_BODY].text;
    parse_since(&members[MEMBER_SINCE], out);
    return ERR_OK;
}

bool body_is_valid(struct str text)
{
    return json_scan_text(text);
}
