#include "load/message.h"

#include <string.h>

enum {
    NUMBER_DIGITS = 8,
    TIME_DIGITS = 16,
    TIME_AT = NUMBER_DIGITS + 1,
    FILL_AT = BODY_SIZE_MIN
};

static const char FILL = 'x';

/* ---- JSON: the members of one object */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at)) {
        at++;
    }
    return at;
}

/* Behind the string that begins at 'at', a quote; NULL if it does not end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        at += *at == '\\';
    }
    return at < end ? at + 1 : NULL;
}

/* Behind the value that begins at 'at'; NULL if it does not end. */
static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (at == NULL || depth == 0) {
                return at;
            }
            continue;
        }
        bool opens = *at == '{' || *at == '[';
        bool closes = *at == '}' || *at == ']';
        if (depth == 0 && (closes || *at == ',')) {
            return at;
        }
        depth += opens - closes;
        at++;
        if (closes && depth == 0) {
            return at;
        }
    }
    return NULL;
}

static bool is(struct slice slice, const char *text)
{
    return slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

static bool take_string(struct slice value, struct slice *out)
{
    if (value.len < 2 || value.data[0] != '"') {
        return false;
    }
    *out = (struct slice){value.data + 1, value.len - 2};
    return true;
}

static bool take_member(struct slice name, struct slice value, struct message *message)
{
    while (value.len > 0 && is_space(value.data[value.len - 1])) {
        value.len--;
    }
    if (is(name, "body")) {
        return take_string(value, &message->body);
    }
    if (is(name, "from")) {
        return take_string(value, &message->from);
    }
    if (is(name, "status")) {
        message->status = is(value, "1");
        return is(value, "0") || is(value, "1");
    }
    if (is(name, "code")) {
        return take_string(value, &message->code);
    }
    if (is(name, "token")) {
        return take_string(value, &message->token);
    }
    return true;
}

/* One member, and the comma or brace behind it; NULL if there is none. */
static const char *read_member(const char *at, const char *end, struct message *message)
{
    at = skip_space(at, end);
    const char *name = at;
    if (at == end || *at != '"' || (at = skip_string(at, end)) == NULL) {
        return NULL;
    }
    struct slice name_text = {name + 1, (size_t)(at - name) - 2};
    at = skip_space(at, end);
    if (at == end || *at != ':') {
        return NULL;
    }
    const char *value = skip_space(at + 1, end);
    at = skip_value(value, end);
    if (at == NULL ||
        !take_member(name_text, (struct slice){value, (size_t)(at - value)}, message)) {
        return NULL;
    }
    at = skip_space(at, end);
    return at < end && (*at == ',' || *at == '}') ? at : NULL;
}

bool message_read(struct slice text, struct message *message)
{
    *message = (struct message){.status = -1};
    const char *end = text.data + text.len;
    const char *at = skip_space(text.data, end);
    if (at == end || *at != '{') {
        return false;
    }
    do {
        at = read_member(at + 1, end, message);
        if (at == NULL) {
            return false;
        }
    } while (*at == ',');
    return skip_space(at + 1, end) == end;
}

/* ---- Bodies */

static void write_hex(char *to, int n_digits, uint64_t value)
{
    for (int i = n_digits - 1; i >= 0; i--) {
        to[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

static bool read_hex(const char *from, int n_digits, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < n_digits; i++) {
        unsigned char c = (unsigned char)from[i];
        unsigned digit = c - (unsigned)'0' < 10 ? c - (unsigned)'0' : c - (unsigned)'a' + 10;
        if (digit > 15 || (c > '9' && c < 'a')) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

void stamp_write(char *body, size_t size, const struct stamp *stamp)
{
    write_hex(body, NUMBER_DIGITS, stamp->number);
    body[NUMBER_DIGITS] = '-';
    write_hex(body + TIME_AT, TIME_DIGITS, stamp->time_ns);
    body[FILL_AT - 1] = '-';
    memset(body + FILL_AT, FILL, size - FILL_AT);
}

static bool is_filled(const char *at, size_t len)
{
    return len == 0 || (at[0] == FILL && memcmp(at, at + 1, len - 1) == 0);
}

bool stamp_read(struct slice body, size_t size, struct stamp *stamp)
{
    uint64_t number;
    if (body.len != size || !read_hex(body.data, NUMBER_DIGITS, &number) ||
        body.data[NUMBER_DIGITS] != '-' ||
        !read_hex(body.data + TIME_AT, TIME_DIGITS, &stamp->time_ns) ||
        body.data[FILL_AT - 1] != '-') {
        return false;
    }
    stamp->number = (uint32_t)number;
    return is_filled(body.data + FILL_AT, size - FILL_AT);
}
