#include "chat/str_table.h"

#include <stdlib.h>

#include "chat/mem.h"
#include "chat/random.h"

enum {
    N_BUCKETS_MIN = 64, /* a power of two, as every number of buckets */
    SEED_DIGITS = 16    /* hexadecimal, for 64 bits */
};

struct str_table {
    struct str_entry **buckets;
    size_t n_buckets;
    size_t count;
    uint64_t seed[2];
};

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

/* SipHash-1-3. */
static uint64_t hash_key(const uint64_t seed[2], struct str key)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575U, seed[1] ^ 0x646f72616e646f6dU,
                     seed[0] ^ 0x6c7967656e657261U, seed[1] ^ 0x7465646279746573U};
    size_t i = 0;
    for (; key.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, key.ptr + i, sizeof word);
        sip_absorb(v, word);
    }
    uint64_t last = (uint64_t)key.len << 56;
    for (; i < key.len; i++) {
        last |= (uint64_t)(unsigned char)key.ptr[i] << (i % sizeof(uint64_t) * 8);
    }
    sip_absorb(v, last);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t random_seed(void)
{
    char digits[SEED_DIGITS + 1] = "";
    random_hex(digits, SEED_DIGITS);
    return strtoull(digits, NULL, 16);
}

struct str_table *str_table_create(void)
{
    struct str_table *table = mem_alloc(sizeof *table);
    table->n_buckets = N_BUCKETS_MIN;
    table->buckets = mem_alloc(table->n_buckets * sizeof(struct str_entry *));
    table->seed[0] = random_seed();
    table->seed[1] = random_seed();
    return table;
}

void str_table_destroy(struct str_table *table)
{
    if (table != NULL) {
        free(table->buckets);
        free(table);
    }
}

static struct str_entry **bucket_of(const struct str_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->n_buckets - 1)];
}

struct str_entry *str_table_get(const struct str_table *table, struct str key)
{
    uint64_t hash = hash_key(table->seed, key);
    struct str_entry *entry = *bucket_of(table, hash);
    while (entry != NULL && !(entry->hash == hash && str_eq(entry->key, key))) {
        entry = entry->next;
    }
    return entry;
}

static void put(const struct str_table *table, struct str_entry *entry)
{
    struct str_entry **bucket = bucket_of(table, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
}

static void grow(struct str_table *table)
{
    struct str_entry **old = table->buckets;
    size_t n_old = table->n_buckets;
    table->n_buckets = n_old * 2;
    table->buckets = mem_alloc(table->n_buckets * sizeof(struct str_entry *));
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct str_entry *entry = old[i];
            old[i] = entry->next;
            put(table, entry);
        }
    }
    free(old);
}

void str_table_add(struct str_table *table, struct str_entry *entry)
{
    if (table->count == table->n_buckets) {
        grow(table);
    }
    entry->hash = hash_key(table->seed, entry->key);
    put(table, entry);
    table->count++;
}

void str_table_remove(struct str_table *table, struct str_entry *entry)
{
    struct str_entry **place = bucket_of(table, entry->hash);
    while (*place != entry) {
        place = &(*place)->next;
    }
    *place = entry->next;
    table->count--;
}

size_t str_table_count(const struct str_table *table)
{
    return table->count;
}
