/* What assert() calls, in place of the C library's, which waits for whoever reads stderr: a process
 * that must not go on would stay there. */
#include <assert.h>

#include "chat/line_out.h"

#ifdef __GLIBC__
void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
    line_out_die("%s:%u: %s: Assertion `%s' failed.", file, line, function, assertion);
}
#endif
