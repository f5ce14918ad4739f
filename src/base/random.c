#include "chat/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "chat/line_out.h"

static void fill(unsigned char *bytes, size_t size)
{
    size_t filled = 0;
    while (filled < size) {
        ssize_t n = getrandom(bytes + filled, size - filled, 0);
        if (n > 0) {
            filled += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            line_out_die("the system has no randomness: %s", strerror(errno));
        }
    }
}

void random_hex(char *out, size_t n_digits)
{
    unsigned char bytes[64];
    while (n_digits > 0) {
        size_t n = n_digits < 2 * sizeof bytes ? n_digits : 2 * sizeof bytes;
        fill(bytes, (n + 1) / 2);
        for (size_t i = 0; i < n; i++) {
            unsigned digit = i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 0xFu;
            *out++ = "0123456789abcdef"[digit];
        }
        n_digits -= n;
    }
}
