/* id_table.h - a hash table from conn_id to a pointer. */
#ifndef CHAT_ID_TABLE_H
#define CHAT_ID_TABLE_H

#include <stddef.h>

#include "chat/conn_id.h"

struct id_table;

struct id_table *id_table_create(void);        /* caller owns */
void id_table_destroy(struct id_table *table); /* frees none of the values. NULL is allowed */

/* Put 'value', not NULL, under 'id', not CONN_NONE, in place of any other. */
void id_table_put(struct id_table *table, conn_id id, void *value);
void *id_table_get(const struct id_table *table, conn_id id); /* NULL: none */
void *id_table_take(struct id_table *table, conn_id id);      /* get and remove; NULL: none */
size_t id_table_count(const struct id_table *table);

/* Every entry once, in no order: start with *cursor 0; NULL ends. Nothing may be put or taken
 * meanwhile. */
void *id_table_next(const struct id_table *table, size_t *cursor);

#endif
