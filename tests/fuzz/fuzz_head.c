/* Any bytes as the head of a handshake: where TCP splits it makes no difference, no other reader
 * could find its end in another place, and what is upgraded is a WebSocket. SPEC 2.
 *
 * The first byte says how long the pieces are. */
#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A heap copy of the exact size, so that AddressSanitizer sees the first byte too far. */
static char *copy_of(const char *bytes, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);
    assert(copy != NULL);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

static enum head_progress follow_in_pieces(struct str bytes, size_t piece, size_t *n_taken)
{
    struct head_lines lines = {0};
    enum head_progress progress = HEAD_MORE;
    *n_taken = 0;
    while (progress == HEAD_MORE && *n_taken < bytes.len) {
        size_t n_left = bytes.len - *n_taken;
        size_t n = n_left < piece ? n_left : piece;
        size_t n_of_piece = 0;
        char *copy = copy_of(bytes.ptr + *n_taken, n);
        progress = head_follow(&lines, (struct str){copy, n}, &n_of_piece);
        free(copy);
        assert(progress == HEAD_MORE ? n_of_piece == n : n_of_piece <= n);
        *n_taken += n_of_piece;
    }
    return progress;
}

/* Each line ends with CR LF, there is no other CR or LF, and the first empty line that has fields
 * before it is the end. */
static void check_end(struct str head)
{
    assert(head.len >= 4 && memcmp(head.ptr + head.len - 4, "\r\n\r\n", 4) == 0);
    assert(memchr(head.ptr, '\0', head.len) == NULL);
    for (size_t i = 0; i < head.len; i++) {
        assert(head.ptr[i] != '\n' || (i > 0 && head.ptr[i - 1] == '\r'));
        assert(head.ptr[i] != '\r' || (i + 1 < head.len && head.ptr[i + 1] == '\n'));
    }
    const char *end = memmem(head.ptr, head.len, "\r\n\r\n", 4);
    assert(end == head.ptr + head.len - 4);
}

static size_t count(struct str head, const char *field)
{
    size_t len = strlen(field);
    size_t n = 0;
    for (size_t i = 0; i + len <= head.len; i++) {
        n += strncasecmp(head.ptr + i, field, len) == 0;
    }
    return n;
}

static void check_upgrade(struct str head, const struct head *judged)
{
    assert(count(head, "\r\nsec-websocket-key:") == 1);
    assert(count(head, "\r\nhost:") == 1);
    assert(count(head, "\r\nupgrade:") >= 1 && count(head, "websocket") >= 3);
    assert(count(head, " HTTP/1.1\r\n") >= 1 && count(head, "GET ") >= 1);
    assert(memmem(head.ptr, head.len, judged->key, HEAD_KEY_SIZE) != NULL);
    for (size_t i = 0; i < HEAD_KEY_SIZE; i++) {
        char c = judged->key[i];
        assert(isalnum((unsigned char)c) || c == '+' || c == '/' || (c == '=' && i >= 22));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct str bytes = {(const char *)data + 1, size - 1};
    size_t n_taken = 0;
    size_t n_whole = 0;
    enum head_progress progress = follow_in_pieces(bytes, data[0] + 1U, &n_taken);
    assert(follow_in_pieces(bytes, bytes.len, &n_whole) == progress && n_whole == n_taken);
    if (progress != HEAD_END) {
        return 0;
    }
    struct head judged = {0};
    char *copy = copy_of(bytes.ptr, n_taken);
    struct str head = {copy, n_taken};
    head_judge(head, &judged);
    check_end(head);
    assert(judged.asks != HEAD_IS_REFUSED || judged.refusal != NULL);
    if (judged.asks == HEAD_ASKS_UPGRADE) {
        check_upgrade(head, &judged);
    }
    free(copy);
    return 0;
}
