#include "transport/http.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

size_t http_answer_write(const struct http_answer *answer, bool without_body,
                         char out[HTTP_ANSWER_SIZE_MAX])
{
    int len = snprintf(out, HTTP_ANSWER_SIZE_MAX,
                       "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
                       answer->status, strlen(answer->text), answer->headers,
                       without_body ? "" : answer->text);
    assert(len > 0 && len < HTTP_ANSWER_SIZE_MAX);
    return (size_t)len;
}
