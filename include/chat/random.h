/* random.h - the operating system's secure random source, for tokens and node names. */
#ifndef CHAT_RANDOM_H
#define CHAT_RANDOM_H

#include <stddef.h>

/* Write 'n_digits' lower-case hexadecimal digits, without a terminator, each four secure random
 * bits. Aborts if the system has no randomness: a guessable token would be worse. */
void random_hex(char *out, size_t n_digits);

#endif
