#include "chat/message_id.h"

#include <assert.h>

/* The largest integer that every JSON reader gets right, 2^53 - 1: SPEC 7. */
static const uint64_t number_max = 9007199254740991;

int message_id_compare(struct message_id a, struct message_id b)
{
    if (a.ms != b.ms) {
        return a.ms < b.ms ? -1 : 1;
    }
    return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

bool message_id_is_none(struct message_id id)
{
    return id.ms == 0 && id.n == 0;
}

/* A decimal integer without leading zeros, from the start of '*text', which moves behind it. */
static bool take_number(struct str *text, uint64_t *out)
{
    uint64_t number = 0;
    size_t len = 0;
    while (len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9') {
        number = number * 10 + (uint64_t)(text->ptr[len] - '0');
        len++;
        if (number > number_max) {
            return false;
        }
    }
    if (len == 0 || (len > 1 && text->ptr[0] == '0')) {
        return false;
    }
    *text = (struct str){text->ptr + len, text->len - len};
    *out = number;
    return true;
}

bool message_id_parse(struct str text, struct message_id *out)
{
    struct message_id id;
    if (!take_number(&text, &id.ms) || text.len == 0 || text.ptr[0] != '-') {
        return false;
    }
    text = (struct str){text.ptr + 1, text.len - 1};
    if (!take_number(&text, &id.n) || text.len > 0) {
        return false;
    }
    *out = id;
    return true;
}

static size_t write_number(uint64_t number, char *out)
{
    char digits[MESSAGE_ID_SIZE_MAX];
    size_t n_digits = 0;
    do {
        digits[n_digits++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < n_digits; i++) {
        out[i] = digits[n_digits - 1 - i];
    }
    return n_digits;
}

size_t message_id_write(struct message_id id, char *out)
{
    assert(id.ms <= number_max && id.n <= number_max);
    size_t len = write_number(id.ms, out);
    out[len++] = '-';
    return len + write_number(id.n, out + len);
}
