#include "chat/redis_url.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PORT_DEFAULT = 6379,
    PORT_MAX = 65535,
    DATABASE_MAX = 1000000 /* far above what any server is configured for */
};

static bool strip_prefix(struct str *s, struct str prefix)
{
    if (s->len < prefix.len || memcmp(s->ptr, prefix.ptr, prefix.len) != 0) {
        return false;
    }
    s->ptr += prefix.len;
    s->len -= prefix.len;
    return true;
}

/* Split 's' at the first 'separator': what is before it goes to 'head', 's' keeps what is behind
 * it. False, and nothing changed, if there is none. */
static bool split(struct str *s, char separator, struct str *head)
{
    const char *at = s->len == 0 ? NULL : memchr(s->ptr, separator, s->len);
    if (at == NULL) {
        return false;
    }
    size_t len = (size_t)(at - s->ptr);
    *head = (struct str){s->ptr, len};
    s->ptr += len + 1;
    s->len -= len + 1;
    return true;
}

static bool copy(struct str s, char *out, size_t size)
{
    if (s.len >= size) {
        return false;
    }
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static int hex_value(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = memchr(digits, tolower((unsigned char)c), sizeof digits - 1);
    return at == NULL ? -1 : (int)(at - digits);
}

static bool percent_decode(struct str s, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int c = (unsigned char)s.ptr[i];
        if (c == '%') {
            if (s.len - i < 3 || hex_value(s.ptr[i + 1]) < 0 || hex_value(s.ptr[i + 2]) < 0) {
                return false;
            }
            c = hex_value(s.ptr[i + 1]) * 16 + hex_value(s.ptr[i + 2]);
            i += 2;
        }
        if (c == '\0' || n + 1 >= size) {
            return false;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool decimal(struct str s, int max, int *out)
{
    int value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!isdigit((unsigned char)s.ptr[i])) {
            return false;
        }
        value = value * 10 + (s.ptr[i] - '0');
        if (value > max) {
            return false;
        }
    }
    *out = value;
    return s.len > 0;
}

/* "[user]:password@", if there is an "@". */
static const char *parse_login(struct str *rest, struct redis_url *out)
{
    struct str login;
    if (!split(rest, '@', &login)) {
        return NULL;
    }
    struct str user;
    if (!split(&login, ':', &user)) {
        return "a login has the form user:password@ or :password@";
    }
    if (!percent_decode(user, out->user, sizeof out->user)) {
        return "the user is too long or not percent-encoded";
    }
    if (!percent_decode(login, out->password, sizeof out->password)) {
        return "the password is too long or not percent-encoded";
    }
    if (out->password[0] == '\0') {
        return "a login needs a password";
    }
    return NULL;
}

static const char *parse_port(struct str port, struct redis_url *out)
{
    int number = PORT_DEFAULT;
    if (port.len > 0 && (!decimal(port, PORT_MAX, &number) || number == 0)) {
        return "the port is not a number from 1 to 65535";
    }
    snprintf(out->port, sizeof out->port, "%u", (unsigned)number % (PORT_MAX + 1U));
    return NULL;
}

static bool is_host_character(char c)
{
    return isalnum((unsigned char)c) || strchr("-._:%", c) != NULL;
}

static const char *parse_host(struct str host, struct redis_url *out)
{
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == '\0' || !is_host_character(host.ptr[i])) {
            return "the host holds a character that no host has (in a login, '@' is written %40 "
                   "and '/' %2F)";
        }
    }
    if (host.len == 0) {
        return "the host is missing";
    }
    return copy(host, out->host, sizeof out->host) ? NULL : "the host is too long";
}

/* "host", "host:port", "[IPv6]" or "[IPv6]:port". */
static const char *parse_address(struct str address, struct redis_url *out)
{
    struct str host = address;
    struct str port = STR("");
    if (address.len > 0 && address.ptr[0] == '[') {
        address.ptr++;
        address.len--;
        if (!split(&address, ']', &host)) {
            return "an IPv6 address has to end with ']'";
        }
        if (address.len > 0 && !strip_prefix(&address, STR(":"))) {
            return "only a port can follow an IPv6 address";
        }
        port = address;
    } else if (split(&address, ':', &host)) {
        port = address;
        if (memchr(port.ptr, ':', port.len) != NULL) {
            return "an IPv6 address has to stand in brackets";
        }
    }
    const char *why = parse_host(host, out);
    return why != NULL ? why : parse_port(port, out);
}

static const char *parse_database(struct str database, struct redis_url *out)
{
    if (database.len == 0) {
        return NULL;
    }
    return decimal(database, DATABASE_MAX, &out->database) ? NULL : "the database is not a number";
}

static const char *parse_tcp(struct str rest, struct redis_url *out)
{
    struct str database = STR("");
    struct str authority;
    if (split(&rest, '/', &authority)) {
        database = rest;
        rest = authority;
    }
    const char *why = parse_login(&rest, out);
    if (why == NULL) {
        why = parse_address(rest, out);
    }
    return why != NULL ? why : parse_database(database, out);
}

static const char *parse_unix(struct str rest, struct redis_url *out)
{
    const char *why = rest.len > 0 && rest.ptr[0] == '/' ? NULL : parse_login(&rest, out);
    if (why != NULL) {
        return why;
    }
    struct str path;
    if (split(&rest, '?', &path)) {
        if (!strip_prefix(&rest, STR("db="))) {
            return "the only option of a socket is ?db=";
        }
        why = rest.len > 0 ? parse_database(rest, out) : "the database is missing";
        rest = path;
    }
    if (why != NULL) {
        return why;
    }
    if (rest.len < 2 || rest.ptr[0] != '/') {
        return "the path of the socket is missing or does not begin with '/'";
    }
    return percent_decode(rest, out->path, sizeof out->path)
               ? NULL
               : "the path of the socket is too long or not percent-encoded";
}

static const char *parse(struct str url, struct redis_url *out)
{
    if (url.len >= REDIS_URL_SIZE_MAX) {
        return "the URL is too long";
    }
    if (strip_prefix(&url, STR("redis://"))) {
        return parse_tcp(url, out);
    }
    if (strip_prefix(&url, STR("redis+unix://")) || strip_prefix(&url, STR("unix://"))) {
        return parse_unix(url, out);
    }
    if (strip_prefix(&url, STR("rediss://"))) {
        return "TLS to Redis (rediss://) is not supported: use redis:// through a private network "
               "or a tunnel";
    }
    return "it begins with none of redis://, redis+unix:// and unix://";
}

enum err redis_url_parse(struct str url, struct redis_url *out, const char **why)
{
    struct redis_url parsed = {.database = 0};
    const char *wrong = parse(url, &parsed);
    if (wrong != NULL) {
        *why = wrong;
        return ERR_INVALID;
    }
    *out = parsed;
    return ERR_OK;
}

void redis_url_print(const struct redis_url *url, char *out)
{
    if (url->path[0] != '\0') {
        snprintf(out, REDIS_URL_SIZE_MAX, "redis+unix://%s?db=%d", url->path, url->database);
        return;
    }
    bool is_ipv6 = strchr(url->host, ':') != NULL;
    snprintf(out, REDIS_URL_SIZE_MAX, "redis://%s%s%s:%s/%d", is_ipv6 ? "[" : "", url->host,
             is_ipv6 ? "]" : "", url->port, url->database);
}
