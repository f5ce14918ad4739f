/* str_table.h - a hash table from bytes to what its caller keeps under them.
 *
 * Clients choose the keys (uids, cids), so the hash is keyed with random bits of this process: with
 * one they can compute they would choose a hundred thousand that fall into one bucket. */
#ifndef CHAT_STR_TABLE_H
#define CHAT_STR_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "chat/str.h"

struct str_table;

/* Stands first in the struct that the caller keeps, and owns. */
struct str_entry {
    struct str_entry *next; /* the table's */
    uint64_t hash;          /* the table's */
    struct str key;         /* bytes that live as long as the entry is in the table */
};

struct str_table *str_table_create(void);        /* caller owns */
void str_table_destroy(struct str_table *table); /* frees no entry. NULL is allowed */

struct str_entry *str_table_get(const struct str_table *table, struct str key); /* NULL: none */

/* There is none with its key. */
void str_table_add(struct str_table *table, struct str_entry *entry);
void str_table_remove(struct str_table *table, struct str_entry *entry);

size_t str_table_count(const struct str_table *table);

#endif
