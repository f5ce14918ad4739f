/* Every function here takes 'p', the place where something begins, and 'end', the end of the
 * text, and returns the place behind that something, or NULL if it isn't there. */
#include "parser/json_scan.h"

#include <stdint.h>

#include "chat/limits.h"

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }
    return p;
}

/* A byte that does not stand for itself in a string. */
static bool is_special(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* Whether none of the eight bytes at 'p' is special, in a few operations on all of them at once:
 * a byte below n, and no other, has its upper bit in (byte - n) & ~byte. A borrow can only come
 * from such a byte. Quotes and backslashes become 0 by an XOR that leaves the upper bits alone, so
 * one ~bytes serves all three. */
static bool eight_are_plain(const char *p)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    uint64_t quotes = bytes ^ each * '"';
    uint64_t backslashes = bytes ^ each * '\\';
    uint64_t special = (bytes - each * 0x20) | (quotes - each) | (backslashes - each);
    return (special & ~bytes & each * 0x80) == 0;
}

static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8 && eight_are_plain(p)) {
        p += 8;
    }
    while (p < end && !is_special(*p)) {
        p++;
    }
    return p;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* The UTF-16 unit of the escape \uXXXX at 'p', or -1. */
static int32_t escaped_unit(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

/* \uXXXX, or two of them that are a surrogate pair. Adds to '*saved' as scan_escape() does. */
static const char *scan_unicode_escape(const char *p, const char *end, size_t *saved)
{
    int32_t unit = escaped_unit(p, end);
    if (unit < 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) {
        return NULL;
    }
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        int32_t low = escaped_unit(p + 6, end);
        if (low < 0xDC00 || low > 0xDFFF) {
            return NULL;
        }
        *saved += 12 - 4;
        return p + 12;
    }
    size_t utf8_len = unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    *saved += 6 - utf8_len;
    return p + 6;
}

/* Adds to '*saved' the bytes by which the escape is longer than what it stands for. */
static const char *scan_escape(const char *p, const char *end, size_t *saved)
{
    if (end - p < 2) {
        return NULL;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        *saved += 1;
        return p + 2;
    case 'u':
        return scan_unicode_escape(p, end, saved);
    default:
        return NULL;
    }
}

/* 'p' is at the opening quote. */
static const char *scan_string(const char *p, const char *end, struct json_value *out)
{
    const char *start = p;
    size_t saved = 0;
    p = skip_plain(p + 1, end);
    while (p < end && *p == '\\') {
        p = scan_escape(p, end, &saved);
        if (p == NULL) {
            return NULL;
        }
        p = skip_plain(p, end);
    }
    if (p == end || *p != '"') {
        return NULL;
    }
    p++;
    size_t len = (size_t)(p - start);
    *out = (struct json_value){JSON_STRING, {start, len}, len - 2 - saved, saved > 0};
    return p;
}

/* One digit or more. */
static const char *scan_digits(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p > start ? p : NULL;
}

static const char *scan_number(const char *p, const char *end, struct json_value *out)
{
    const char *start = p;
    enum json_kind kind = JSON_INTEGER;
    if (*p == '-') {
        p++;
    }
    /* A zero in front ends the integer: what follows '0' in "01" is no part of a number. */
    p = p < end && *p == '0' ? p + 1 : scan_digits(p, end);
    if (p != NULL && p < end && *p == '.') {
        kind = JSON_OTHER;
        p = scan_digits(p + 1, end);
    }
    if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
        kind = JSON_OTHER;
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        p = scan_digits(p, end);
    }
    if (p == NULL) {
        return NULL;
    }
    *out = (struct json_value){kind, {start, (size_t)(p - start)}, 0, false};
    return p;
}

static const char *scan_literal(const char *p, const char *end, struct str literal,
                                struct json_value *out)
{
    if ((size_t)(end - p) < literal.len || memcmp(p, literal.ptr, literal.len) != 0) {
        return NULL;
    }
    *out = (struct json_value){JSON_OTHER, {p, literal.len}, 0, false};
    return p + literal.len;
}

/* A value with no other within. 'p' is not at the end. */
static const char *scan_scalar(const char *p, const char *end, struct json_value *out)
{
    switch (*p) {
    case '"':
        return scan_string(p, end, out);
    case 't':
        return scan_literal(p, end, STR("true"), out);
    case 'f':
        return scan_literal(p, end, STR("false"), out);
    case 'n':
        return scan_literal(p, end, STR("null"), out);
    default:
        return scan_number(p, end, out);
    }
}

/* The name of a member, the colon, and the space around it: then the member's value begins. */
static const char *scan_name(const char *p, const char *end, struct json_value *name)
{
    if (p == end || *p != '"') {
        return NULL;
    }
    p = scan_string(p, end, name);
    if (p == NULL) {
        return NULL;
    }
    p = skip_space(p, end);
    if (p == end || *p != ':') {
        return NULL;
    }
    return skip_space(p + 1, end);
}

/* The arrays and objects that are open at some place in the text. */
struct nesting {
    unsigned depth;
    uint64_t is_object[NESTING_MAX / 64]; /* a bit for each level */
};

/* False if that is one level too many. */
static bool nesting_push(struct nesting *nesting, bool is_object)
{
    if (nesting->depth == NESTING_MAX) {
        return false;
    }
    uint64_t *word = &nesting->is_object[nesting->depth / 64];
    uint64_t bit = UINT64_C(1) << nesting->depth % 64;
    *word = is_object ? *word | bit : *word & ~bit;
    nesting->depth++;
    return true;
}

static bool nesting_in_object(const struct nesting *nesting)
{
    unsigned top = nesting->depth - 1;
    return (nesting->is_object[top / 64] >> top % 64 & 1) != 0;
}

/* Whether the innermost array or object ends at 'p'. */
static bool at_closer(const struct nesting *nesting, const char *p, const char *end)
{
    return p < end && *p == (nesting_in_object(nesting) ? '}' : ']');
}

/* What stands between here, behind a '[', '{' or ',' and its space, and the next value: in an
 * object a name. */
static const char *scan_to_value(const struct nesting *nesting, const char *p, const char *end)
{
    struct json_value name;
    return nesting_in_object(nesting) ? scan_name(p, end, &name) : p;
}

/* The array or object at 'p' with all that is in it. */
static const char *scan_nested(const char *p, const char *end)
{
    struct nesting nesting = {.depth = 1}; /* the request's own object */
    struct json_value ignored;
    while (p != NULL && p < end) {
        /* Here a value begins. */
        if (*p == '[' || *p == '{') {
            if (!nesting_push(&nesting, *p == '{')) {
                return NULL;
            }
            p = skip_space(p + 1, end);
            if (!at_closer(&nesting, p, end)) {
                p = scan_to_value(&nesting, p, end);
                continue;
            }
        } else {
            p = scan_scalar(p, end, &ignored);
            if (p == NULL) {
                return NULL;
            }
            p = skip_space(p, end);
        }
        /* Here one has ended, or an empty array or object is about to. */
        while (at_closer(&nesting, p, end)) {
            p++;
            nesting.depth--;
            if (nesting.depth == 1) {
                return p;
            }
            p = skip_space(p, end);
        }
        if (p == end || *p != ',') {
            return NULL;
        }
        p = scan_to_value(&nesting, skip_space(p + 1, end), end);
    }
    return NULL;
}

static const char *scan_value(const char *p, const char *end, struct json_value *out)
{
    if (p == end) {
        return NULL;
    }
    if (*p != '[' && *p != '{') {
        return scan_scalar(p, end, out);
    }
    const char *start = p;
    p = scan_nested(p, end);
    if (p == NULL) {
        return NULL;
    }
    *out = (struct json_value){JSON_OTHER, {start, (size_t)(p - start)}, 0, false};
    return p;
}

/* The members of the object and its '}'. 'p' is behind the '{' and its space. */
static const char *scan_members(const char *p, const char *end, json_member_fn *member, void *ctx)
{
    if (p < end && *p == '}') {
        return p + 1;
    }
    for (;;) {
        struct json_value name;
        struct json_value value;
        p = scan_name(p, end, &name);
        if (p == NULL) {
            return NULL;
        }
        p = scan_value(p, end, &value);
        if (p == NULL) {
            return NULL;
        }
        member(ctx, &name, &value);
        p = skip_space(p, end);
        if (p < end && *p == '}') {
            return p + 1;
        }
        if (p == end || *p != ',') {
            return NULL;
        }
        p = skip_space(p + 1, end);
    }
}

bool json_scan_object(struct str text, json_member_fn *member, void *ctx)
{
    if (text.len == 0) {
        return false;
    }
    const char *end = text.ptr + text.len;
    const char *p = skip_space(text.ptr, end);
    if (p == end || *p != '{') {
        return false;
    }
    p = scan_members(skip_space(p + 1, end), end, member, ctx);
    return p != NULL && skip_space(p, end) == end;
}

bool json_scan_text(struct str text)
{
    if (text.len == 0) {
        return false;
    }
    const char *end = text.ptr + text.len;
    struct json_value value;
    const char *p = scan_value(skip_space(text.ptr, end), end, &value);
    return p != NULL && skip_space(p, end) == end;
}
