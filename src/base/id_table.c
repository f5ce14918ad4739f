/* Open addressing with linear probing: an entry stands in the first free slot at or after its
 * home, the slot that its id hashes to. Taking one moves later entries back into the gap, so a
 * search may end at the first free slot, and no marks of removed entries pile up. The table
 * grows, and never shrinks: a server that had many connections will have them again. */
#include "chat/id_table.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/mem.h"

struct slot {
    conn_id id; /* CONN_NONE: free */
    void *value;
};

struct id_table {
    struct slot *slots; /* owned; 1 << bits of them, at least one in four free */
    unsigned bits;
    size_t count;
};

enum {
    BITS_MIN = 4
};

static size_t mask_of(const struct id_table *table)
{
    return ((size_t)1 << table->bits) - 1;
}

/* Multiplication by 2^64 / golden ratio spreads ids that count up evenly over the upper bits. */
static size_t home_of(const struct id_table *table, conn_id id)
{
    return (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - table->bits));
}

/* The slot that holds 'id', or the free one where it belongs. */
static size_t find(const struct id_table *table, conn_id id)
{
    size_t i = home_of(table, id);
    while (table->slots[i].id != id && table->slots[i].id != CONN_NONE) {
        i = (i + 1) & mask_of(table);
    }
    return i;
}

static void grow(struct id_table *table)
{
    struct slot *old = table->slots;
    size_t n_old = mask_of(table) + 1;
    table->bits++;
    table->slots = mem_alloc((mask_of(table) + 1) * sizeof *table->slots);
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].id != CONN_NONE) {
            table->slots[find(table, old[i].id)] = old[i];
        }
    }
    free(old);
}

/* Free slot 'gap': entries behind it that may stand there move back, each leaving a new gap. */
static void close_gap(struct id_table *table, size_t gap)
{
    size_t mask = mask_of(table);
    for (size_t i = (gap + 1) & mask; table->slots[i].id != CONN_NONE; i = (i + 1) & mask) {
        size_t from_home = (i - home_of(table, table->slots[i].id)) & mask;
        size_t from_gap = (i - gap) & mask;
        if (from_home >= from_gap) {
            table->slots[gap] = table->slots[i];
            gap = i;
        }
    }
    table->slots[gap] = (struct slot){CONN_NONE, NULL};
}

struct id_table *id_table_create(void)
{
    struct id_table *table = mem_alloc(sizeof *table);
    table->bits = BITS_MIN;
    table->slots = mem_alloc((mask_of(table) + 1) * sizeof *table->slots);
    return table;
}

void id_table_destroy(struct id_table *table)
{
    if (table == NULL) {
        return;
    }
    free(table->slots);
    free(table);
}

void id_table_put(struct id_table *table, conn_id id, void *value)
{
    assert(id != CONN_NONE && value != NULL);
    size_t i = find(table, id);
    if (table->slots[i].id == CONN_NONE) {
        if (table->count >= (mask_of(table) + 1) / 4 * 3) {
            grow(table);
            i = find(table, id);
        }
        table->count++;
    }
    table->slots[i] = (struct slot){id, value};
}

void *id_table_get(const struct id_table *table, conn_id id)
{
    return table->slots[find(table, id)].value;
}

void *id_table_take(struct id_table *table, conn_id id)
{
    size_t i = find(table, id);
    void *value = table->slots[i].value;
    if (value != NULL) {
        close_gap(table, i);
        table->count--;
    }
    return value;
}

size_t id_table_count(const struct id_table *table)
{
    return table->count;
}

void *id_table_next(const struct id_table *table, size_t *cursor)
{
    while (*cursor <= mask_of(table)) {
        void *value = table->slots[(*cursor)++].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
