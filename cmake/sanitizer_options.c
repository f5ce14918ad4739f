/* sanitizer_options.c - what a sanitized chatd runs with; ASAN_OPTIONS overrides it.
 *
 * AddressSanitizer keeps freed memory from being used again, 256 MiB of it if nobody says
 * otherwise. With less, bounds on memory can be checked on the sanitized server, too. */
const char *__asan_default_options(void); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

const char *__asan_default_options(void) // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
{
    return "quarantine_size_mb=32";
}
