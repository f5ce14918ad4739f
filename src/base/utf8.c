#include "chat/utf8.h"

#include <stdint.h>

static bool is_tail(unsigned char byte)
{
    return byte >= 0x80 && byte <= 0xBF;
}

static bool is_between(unsigned char byte, unsigned char min, unsigned char max)
{
    return byte >= min && byte <= max;
}

/* The bytes of the character at 'p', which has 'left' bytes and is not ASCII; 0 if there is none.
 * The table of RFC 3629, section 4: only the second byte's range depends on the first. */
static size_t sequence_len(const unsigned char *p, size_t left)
{
    unsigned char lead = p[0];
    if (is_between(lead, 0xC2, 0xDF)) {
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    }
    if (is_between(lead, 0xE0, 0xEF)) {
        unsigned char min = lead == 0xE0 ? 0xA0 : 0x80; /* below: overlong */
        unsigned char max = lead == 0xED ? 0x9F : 0xBF; /* above: surrogates */
        return left >= 3 && is_between(p[1], min, max) && is_tail(p[2]) ? 3 : 0;
    }
    if (is_between(lead, 0xF0, 0xF4)) {
        unsigned char min = lead == 0xF0 ? 0x90 : 0x80; /* below: overlong */
        unsigned char max = lead == 0xF4 ? 0x8F : 0xBF; /* above: past U+10FFFF */
        bool valid = left >= 4 && is_between(p[1], min, max) && is_tail(p[2]) && is_tail(p[3]);
        return valid ? 4 : 0;
    }
    return 0;
}

/* The bytes from 'p' on that are certainly ASCII, a multiple of eight: most text is skipped
 * here. */
static size_t ascii_run(const unsigned char *p, size_t left)
{
    size_t run = 0;
    while (left - run >= 8) {
        uint64_t eight;
        memcpy(&eight, p + run, sizeof eight);
        if ((eight & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        run += 8;
    }
    return run;
}

bool utf8_valid(struct str s)
{
    const unsigned char *bytes = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        if (bytes[i] < 0x80) {
            size_t run = ascii_run(bytes + i, s.len - i);
            i += run > 0 ? run : 1;
            continue;
        }
        size_t len = sequence_len(bytes + i, s.len - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}
