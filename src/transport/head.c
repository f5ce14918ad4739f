#include "transport/head.h"

#include <assert.h>
#include <strings.h>

enum {
    SPACE = 0x20,
    DELETE = 0x7f
};

/* ---- where it ends ---- */

/* RFC 9112 section 5 allows these in a field's value. A request line has only ASCII, no tabs. */
static bool may_stand_in_line(const struct head_lines *lines, unsigned char byte)
{
    if (byte == '\t' || byte > DELETE) {
        return lines->in_fields;
    }
    return byte >= SPACE && byte != DELETE;
}

/* A CR LF has come. */
static enum head_progress end_line(struct head_lines *lines)
{
    bool empty = !lines->in_line;
    lines->after_cr = false;
    lines->in_line = false;
    if (lines->begun) {
        lines->in_fields = true;
        return empty ? HEAD_END : HEAD_MORE;
    }
    /* RFC 9112 section 2.2: at least one empty line before the request line is ignored. */
    if (lines->skipped_empty) {
        return HEAD_BROKEN;
    }
    lines->skipped_empty = true;
    return HEAD_MORE;
}

/* A line ends with CR LF: neither stands alone. */
static enum head_progress follow_byte(struct head_lines *lines, unsigned char byte)
{
    if (lines->after_cr) {
        return byte == '\n' ? end_line(lines) : HEAD_BROKEN;
    }
    if (byte == '\r') {
        lines->after_cr = true;
        return HEAD_MORE;
    }
    if (!may_stand_in_line(lines, byte)) {
        return HEAD_BROKEN;
    }
    lines->begun = true;
    lines->in_line = true;
    return HEAD_MORE;
}

enum head_progress head_follow(struct head_lines *lines, struct str bytes, size_t *n_taken)
{
    for (size_t i = 0; i < bytes.len; i++) {
        enum head_progress progress = follow_byte(lines, (unsigned char)bytes.ptr[i]);
        if (progress != HEAD_MORE) {
            *n_taken = i + 1;
            return progress;
        }
    }
    *n_taken = bytes.len;
    return HEAD_MORE;
}

/* ---- what is refused, and how ---- */

#define BAD_REQUEST(text)                                \
    {                                                    \
        "400 Bad Request", HTTP_PLAIN_HEADERS, text "\n" \
    }
#define BAD_UPGRADE(text)                                  \
    {                                                      \
        "400 Bad Request", HTTP_UPGRADE_HEADERS, text "\n" \
    }

static const struct http_answer bad_upgrade = BAD_REQUEST("Upgrade is not a list of protocols.");
static const struct http_answer bad_connection =
    BAD_REQUEST("Connection is not a list of options.");
static const struct http_answer twice = BAD_REQUEST("A field is repeated that may not be.");
static const struct http_answer no_field = BAD_REQUEST("A line is not a field.");
static const struct http_answer has_body = BAD_REQUEST("A request without a body is expected.");
static const struct http_answer no_host = BAD_REQUEST("Host is missing.");
static const struct http_answer bad_host = BAD_REQUEST("Host is not valid.");
static const struct http_answer no_option = BAD_UPGRADE("Connection has to list Upgrade.");
static const struct http_answer no_key = BAD_UPGRADE("Sec-WebSocket-Key is missing.");
static const struct http_answer bad_key =
    BAD_UPGRADE("Sec-WebSocket-Key is not 16 bytes in base64.");
static const struct http_answer no_request = BAD_REQUEST("This is not a request of HTTP/1.1.");
static const struct http_answer bad_target = BAD_REQUEST("The target is not a path.");
static const struct http_answer bad_version = {"505 HTTP Version Not Supported", HTTP_PLAIN_HEADERS,
                                               "HTTP/1.1 is spoken here.\n"};
static const struct http_answer bad_method = {"405 Method Not Allowed",
                                              HTTP_PLAIN_HEADERS "Allow: GET, HEAD\r\n",
                                              "GET and HEAD are answered, and GET is upgraded.\n"};
static const struct http_answer no_upgrade = {"426 Upgrade Required", HTTP_UPGRADE_HEADERS,
                                              "This is a WebSocket server: connect with ws://.\n"};
static const struct http_answer other_version = {"426 Upgrade Required", HTTP_UPGRADE_HEADERS,
                                                 "Sec-WebSocket-Version has to be 13.\n"};

/* ---- words ---- */

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 9110 section 5.6.2 */
static bool is_token(struct str word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (!is_alphanumeric(word.ptr[i]) && !is_in(word.ptr[i], "!#$%&'*+-.^_`|~")) {
            return false;
        }
    }
    return word.len > 0;
}

/* Names of fields and what stands in their lists: case makes no difference. */
static bool is_word(struct str word, const char *lower)
{
    return word.len == strlen(lower) && strncasecmp(word.ptr, lower, word.len) == 0;
}

/* Take what stands before 'mark' off 'rest', and the mark. False: there is no mark. */
static bool take_until(struct str *rest, struct str mark, struct str *out)
{
    const char *found = memmem(rest->ptr, rest->len, mark.ptr, mark.len);
    if (found == NULL) {
        return false;
    }
    *out = (struct str){rest->ptr, (size_t)(found - rest->ptr)};
    rest->len -= out->len + mark.len;
    rest->ptr = found + mark.len;
    return true;
}

static struct str trim(struct str text)
{
    while (text.len > 0 && is_in(text.ptr[0], " \t")) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_in(text.ptr[text.len - 1], " \t")) {
        text.len--;
    }
    return text;
}

/* ---- the request line ---- */

enum version {
    VERSION_1_0,
    VERSION_1_1,
    VERSION_OTHER,
    VERSION_NONE /* this is no version */
};

static enum version read_version(struct str text)
{
    static const char name[] = "HTTP/";
    enum {
        LEN = sizeof name - 1 + 3 /* a digit, a dot, a digit */
    };
    if (text.len != LEN || memcmp(text.ptr, name, sizeof name - 1) != 0) {
        return VERSION_NONE;
    }
    const char *digits = text.ptr + sizeof name - 1;
    if (!is_digit(digits[0]) || digits[1] != '.' || !is_digit(digits[2])) {
        return VERSION_NONE;
    }
    if (digits[0] != '1' || digits[2] > '1') {
        return VERSION_OTHER;
    }
    return digits[2] == '1' ? VERSION_1_1 : VERSION_1_0;
}

/* RFC 9110 section 4.2.3, and 7.2 for the field Host: a name, an IPv4 address, or an IPv6 address
 * in brackets; then a colon and digits, perhaps. */
static bool is_host(struct str text)
{
    size_t i = 0;
    if (text.len > 0 && text.ptr[0] == '[') {
        for (i = 1; i < text.len && (is_alphanumeric(text.ptr[i]) || is_in(text.ptr[i], ":.%-_~"));
             i++) {
        }
        if (i == 1 || i == text.len || text.ptr[i] != ']') {
            return false;
        }
        i++;
    } else {
        while (i < text.len &&
               (is_alphanumeric(text.ptr[i]) || is_in(text.ptr[i], "-._~%!$&'()*+,;="))) {
            i++;
        }
    }
    if (i < text.len && text.ptr[i] == ':') {
        i++;
        while (i < text.len && is_digit(text.ptr[i])) {
            i++;
        }
    }
    return i == text.len;
}

/* RFC 9112 section 3.2.2: a server accepts the absolute form, although clients send it to
 * proxies only. What is left of 'target' begins with the path, or has none. */
static bool take_authority(struct str *target)
{
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);
        if (target->len < len || strncasecmp(target->ptr, schemes[i], len) != 0) {
            continue;
        }
        struct str host = {target->ptr + len, 0};
        while (host.len < target->len - len && !is_in(host.ptr[host.len], "/?")) {
            host.len++;
        }
        *target = (struct str){host.ptr + host.len, target->len - len - host.len};
        /* A host that is empty, or has a user in front of it, is an error: RFC 9110 section 4.2. */
        return host.len > 0 && host.ptr[0] != ':' && is_host(host);
    }
    return false;
}

/* The path of the target, without its query. False: the target is not one of a GET. */
static bool read_path(struct str target, struct str *out)
{
    if ((target.len == 0 || target.ptr[0] != '/') && !take_authority(&target)) {
        return false;
    }
    if (target.len > 0 && memchr(target.ptr, '#', target.len) != NULL) {
        return false;
    }
    const char *query = target.len == 0 ? NULL : memchr(target.ptr, '?', target.len);
    *out = (struct str){target.ptr, query == NULL ? target.len : (size_t)(query - target.ptr)};
    return true;
}

struct request_line {
    struct str method;
    struct str target;
    enum version version;
};

/* Exactly one space between the three: RFC 9112 section 3. */
static bool read_request_line(struct str line, struct request_line *out)
{
    if (!take_until(&line, STR(" "), &out->method) || !take_until(&line, STR(" "), &out->target)) {
        return false;
    }
    out->version = read_version(line);
    return is_token(out->method) && out->target.len > 0 && out->version != VERSION_NONE;
}

/* ---- the fields ---- */

/* Those that stand once. */
enum field {
    FIELD_HOST,
    FIELD_KEY,
    FIELD_VERSION,
    FIELD_ORIGIN,
    FIELD_LENGTH,
    FIELDS
};

static const char *const field_names[FIELDS] = {
    [FIELD_HOST] = "host",
    [FIELD_KEY] = "sec-websocket-key",
    [FIELD_VERSION] = "sec-websocket-version",
    [FIELD_ORIGIN] = "origin",
    [FIELD_LENGTH] = "content-length",
};

struct fields {
    struct str values[FIELDS]; /* a 'ptr' of NULL: there is none */
    bool has_encoding;         /* Transfer-Encoding */
    bool upgrade_websocket;    /* Upgrade lists websocket */
    bool connection_upgrade;   /* Connection lists upgrade */
};

/* RFC 9110 section 7.8: a name, and a version perhaps. */
static bool is_protocol(struct str text)
{
    struct str name;
    if (!take_until(&text, STR("/"), &name)) {
        return is_token(text);
    }
    return is_token(name) && is_token(text);
}

/* RFC 9110 section 5.6.1: a list, in which empty elements are passed over. False: something else
 * stands in it. '*found' is set if 'wanted' does. */
static bool read_list(struct str list, const char *wanted, bool *found)
{
    bool more = true;
    while (more) {
        struct str element = list;
        more = take_until(&list, STR(","), &element);
        element = trim(element);
        if (element.len > 0 && !is_protocol(element)) {
            return false;
        }
        *found = *found || is_word(element, wanted);
    }
    return true;
}

/* NULL: nothing is wrong with this field. */
static const struct http_answer *read_value(struct fields *fields, struct str name,
                                            struct str value)
{
    if (is_word(name, "upgrade")) {
        return read_list(value, "websocket", &fields->upgrade_websocket) ? NULL : &bad_upgrade;
    }
    if (is_word(name, "connection")) {
        return read_list(value, "upgrade", &fields->connection_upgrade) ? NULL : &bad_connection;
    }
    fields->has_encoding = fields->has_encoding || is_word(name, "transfer-encoding");
    for (size_t i = 0; i < FIELDS; i++) {
        if (is_word(name, field_names[i])) {
            if (fields->values[i].ptr != NULL) {
                return &twice;
            }
            fields->values[i] = value;
        }
    }
    return NULL;
}

/* A line that begins with white space, which would go on with the one before, has no name. */
static const struct http_answer *read_fields(struct str rest, struct fields *out)
{
    struct str line;
    while (take_until(&rest, STR("\r\n"), &line) && line.len > 0) {
        struct str name;
        if (!take_until(&line, STR(":"), &name) || !is_token(name)) {
            return &no_field;
        }
        const struct http_answer *refusal = read_value(out, name, trim(line));
        if (refusal != NULL) {
            return refusal;
        }
    }
    return NULL;
}

/* ---- the verdict ---- */

static bool is_zero(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '0') {
            return false;
        }
    }
    return text.len > 0;
}

/* Behind a head without a body stand frames, and nobody may take them for a body. */
static const struct http_answer *judge_body(const struct fields *fields)
{
    const struct str *length = &fields->values[FIELD_LENGTH];
    if (fields->has_encoding || (length->ptr != NULL && !is_zero(*length))) {
        return &has_body;
    }
    return NULL;
}

static const struct http_answer *judge_host(const struct fields *fields, enum version version)
{
    struct str host = fields->values[FIELD_HOST];
    if (host.ptr == NULL) {
        return version == VERSION_1_0 ? NULL : &no_host;
    }
    return is_host(host) ? NULL : &bad_host;
}

/* 16 bytes are 22 digits of base64, and padding. Of the last digit four bits say nothing, and
 * RFC 6455 has an example where they are not 0. */
static bool is_key(struct str key)
{
    enum {
        DIGITS = 22
    };
    if (key.len != HEAD_KEY_SIZE || memcmp(key.ptr + DIGITS, "==", 2) != 0) {
        return false;
    }
    for (size_t i = 0; i < DIGITS; i++) {
        if (!is_alphanumeric(key.ptr[i]) && !is_in(key.ptr[i], "+/")) {
            return false;
        }
    }
    return true;
}

/* RFC 6455 section 4.2.1, [WS-4]. */
static const struct http_answer *judge_upgrade(const struct fields *fields, struct head *out)
{
    if (!fields->connection_upgrade) {
        return &no_option;
    }
    struct str version = fields->values[FIELD_VERSION];
    if (version.ptr == NULL || !str_eq(version, STR("13"))) {
        return &other_version;
    }
    struct str key = fields->values[FIELD_KEY];
    if (key.ptr == NULL) {
        return &no_key;
    }
    if (!is_key(key)) {
        return &bad_key;
    }
    memcpy(out->key, key.ptr, HEAD_KEY_SIZE);
    out->asks = HEAD_ASKS_UPGRADE;
    return NULL;
}

/* Probes of HTTP/1.0 are answered, for load balancers send them; it knows no Upgrade. */
static const struct http_answer *judge_request(const struct request_line *line, struct str path,
                                               const struct fields *fields, struct head *out)
{
    bool upgrade = fields->upgrade_websocket && !out->without_body;
    if (line->version == VERSION_1_1 && upgrade) {
        return judge_upgrade(fields, out);
    }
    if (str_eq(path, STR("/healthz"))) {
        out->asks = HEAD_ASKS_HEALTH;
        return NULL;
    }
    if (str_eq(path, STR("/readyz"))) {
        out->asks = HEAD_ASKS_READY;
        return NULL;
    }
    return line->version == VERSION_1_1 ? &no_upgrade : &bad_version;
}

static const struct http_answer *judge(struct str rest, struct head *out)
{
    struct str first;
    struct request_line line;
    struct fields fields = {0};
    struct str path;
    /* Once more if an empty line stands before it. */
    if (!take_until(&rest, STR("\r\n"), &first) ||
        (first.len == 0 && !take_until(&rest, STR("\r\n"), &first)) ||
        !read_request_line(first, &line)) {
        return &no_request;
    }
    if (line.version == VERSION_OTHER) {
        return &bad_version;
    }
    out->without_body = str_eq(line.method, STR("HEAD"));
    const struct http_answer *refusal = read_fields(rest, &fields);
    if (refusal != NULL) {
        return refusal;
    }
    if (!out->without_body && !str_eq(line.method, STR("GET"))) {
        return &bad_method;
    }
    if (!read_path(line.target, &path)) {
        return &bad_target;
    }
    refusal = judge_host(&fields, line.version);
    refusal = refusal != NULL ? refusal : judge_body(&fields);
    return refusal != NULL ? refusal : judge_request(&line, path, &fields, out);
}

void head_judge(struct str bytes, struct head *out)
{
    *out = (struct head){.asks = HEAD_IS_REFUSED};
    out->refusal = judge(bytes, out);
    assert((out->refusal != NULL) == (out->asks == HEAD_IS_REFUSED));
}
