#include "mapping_store/devices.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "chat/id_table.h"
#include "chat/mem.h"
#include "chat/random.h"

enum {
    N_BUCKETS_MIN = 64, /* a power of two, as every number of buckets */
    SEED_DIGITS = 16    /* hexadecimal, for 64 bits */
};

/* A device stands in three places: the table by id, its user's list, and the line for
 * devices_rotate(). */
struct device {
    conn_id id;
    struct user *user;
    struct device *before; /* in the line */
    struct device *behind;
};

/* A uid with at least one device. Owned by the bucket it is in. */
struct user {
    struct user *next; /* in the bucket */
    uint64_t hash;
    struct str uid; /* points to the bytes that follow this struct */
    conn_id *ids;   /* in the order in which they were bound */
    size_t n_ids;
    size_t capacity;
};

struct devices {
    struct id_table *by_id;
    struct user **buckets;
    size_t n_buckets;
    size_t n_users;
    uint64_t seed[2];
    struct device *first; /* of the line */
    struct device *last;
    conn_id *found; /* what devices_find() lends */
    size_t found_capacity;
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

/* SipHash-1-3, keyed with random bits of this process. Clients choose their uids: with a hash
 * they can compute they would choose a hundred thousand that fall into one bucket. */
static uint64_t hash_uid(const uint64_t seed[2], struct str uid)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575U, seed[1] ^ 0x646f72616e646f6dU,
                     seed[0] ^ 0x6c7967656e657261U, seed[1] ^ 0x7465646279746573U};
    size_t i = 0;
    for (; uid.len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, uid.ptr + i, sizeof word);
        sip_absorb(v, word);
    }
    uint64_t last = (uint64_t)uid.len << 56;
    for (; i < uid.len; i++) {
        last |= (uint64_t)(unsigned char)uid.ptr[i] << (i % sizeof(uint64_t) * 8);
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

struct devices *devices_create(void)
{
    struct devices *devices = mem_alloc(sizeof *devices);
    devices->by_id = id_table_create();
    devices->n_buckets = N_BUCKETS_MIN;
    devices->buckets = mem_alloc(devices->n_buckets * sizeof *devices->buckets);
    devices->seed[0] = random_seed();
    devices->seed[1] = random_seed();
    return devices;
}

static struct user **bucket_of(const struct devices *devices, uint64_t hash)
{
    return &devices->buckets[hash & (devices->n_buckets - 1)];
}

/* Where the pointer to the user of 'uid' is, or, pointing to NULL, where it would be. */
static struct user **user_place(const struct devices *devices, uint64_t hash, struct str uid)
{
    struct user **place = bucket_of(devices, hash);
    while (*place != NULL && !((*place)->hash == hash && str_eq((*place)->uid, uid))) {
        place = &(*place)->next;
    }
    return place;
}

static void grow_buckets(struct devices *devices)
{
    struct user **old = devices->buckets;
    size_t n_old = devices->n_buckets;
    devices->n_buckets = n_old * 2;
    devices->buckets = mem_alloc(devices->n_buckets * sizeof *devices->buckets);
    for (size_t i = 0; i < n_old; i++) {
        while (old[i] != NULL) {
            struct user *user = old[i];
            old[i] = user->next;
            struct user **place = bucket_of(devices, user->hash);
            user->next = *place;
            *place = user;
        }
    }
    free(old);
}

static struct user *user_of(struct devices *devices, struct str uid)
{
    uint64_t hash = hash_uid(devices->seed, uid);
    struct user *user = *user_place(devices, hash, uid);
    if (user != NULL) {
        return user;
    }
    if (devices->n_users == devices->n_buckets) {
        grow_buckets(devices);
    }
    user = mem_alloc(sizeof *user + uid.len);
    char *copy = (char *)(user + 1);
    memcpy(copy, uid.ptr, uid.len);
    struct user **bucket = bucket_of(devices, hash);
    *user = (struct user){.next = *bucket, .hash = hash, .uid = {copy, uid.len}};
    *bucket = user;
    devices->n_users++;
    return user;
}

static void user_add(struct user *user, conn_id id)
{
    if (user->n_ids == user->capacity) {
        user->capacity = user->capacity == 0 ? 1 : user->capacity * 2;
        user->ids = mem_realloc(user->ids, user->capacity * sizeof *user->ids);
    }
    user->ids[user->n_ids++] = id;
}

/* The user goes with its last device. */
static void user_remove(struct devices *devices, struct user *user, conn_id id)
{
    size_t i = 0;
    while (user->ids[i] != id) {
        i++;
    }
    user->n_ids--;
    memmove(&user->ids[i], &user->ids[i + 1], (user->n_ids - i) * sizeof *user->ids);
    if (user->n_ids > 0) {
        return;
    }
    *user_place(devices, user->hash, user->uid) = user->next;
    devices->n_users--;
    free(user->ids);
    free(user);
}

static void line_append(struct devices *devices, struct device *device)
{
    device->before = devices->last;
    device->behind = NULL;
    if (devices->last != NULL) {
        devices->last->behind = device;
    } else {
        devices->first = device;
    }
    devices->last = device;
}

static void line_remove(struct devices *devices, struct device *device)
{
    if (device->before != NULL) {
        device->before->behind = device->behind;
    } else {
        devices->first = device->behind;
    }
    if (device->behind != NULL) {
        device->behind->before = device->before;
    } else {
        devices->last = device->before;
    }
}

void devices_bind(struct devices *devices, conn_id id, struct str uid)
{
    assert(id != CONN_NONE && uid.len > 0);
    struct device *device = id_table_get(devices->by_id, id);
    if (device != NULL && str_eq(device->user->uid, uid)) {
        return;
    }
    struct user *user = user_of(devices, uid);
    user_add(user, id);
    if (device != NULL) {
        user_remove(devices, device->user, id);
        line_remove(devices, device);
    } else {
        device = mem_alloc(sizeof *device);
        device->id = id;
        id_table_put(devices->by_id, id, device);
    }
    device->user = user;
    line_append(devices, device);
}

bool devices_unbind(struct devices *devices, conn_id id)
{
    struct device *device = id_table_take(devices->by_id, id);
    if (device == NULL) {
        return false;
    }
    user_remove(devices, device->user, id);
    line_remove(devices, device);
    free(device);
    return true;
}

struct str devices_uid(const struct devices *devices, conn_id id)
{
    const struct device *device = id_table_get(devices->by_id, id);
    return device != NULL ? device->user->uid : (struct str){NULL, 0};
}

size_t devices_find(struct devices *devices, struct str uid, const conn_id **out)
{
    const struct user *user = *user_place(devices, hash_uid(devices->seed, uid), uid);
    *out = devices->found;
    if (user == NULL) {
        return 0;
    }
    if (user->n_ids > devices->found_capacity) {
        devices->found_capacity = user->capacity;
        devices->found =
            mem_realloc(devices->found, devices->found_capacity * sizeof *devices->found);
    }
    memcpy(devices->found, user->ids, user->n_ids * sizeof *user->ids);
    *out = devices->found;
    return user->n_ids;
}

size_t devices_count(const struct devices *devices)
{
    return id_table_count(devices->by_id);
}

bool devices_rotate(struct devices *devices, conn_id *id, struct str *uid)
{
    struct device *device = devices->first;
    if (device == NULL) {
        return false;
    }
    line_remove(devices, device);
    line_append(devices, device);
    *id = device->id;
    *uid = device->user->uid;
    return true;
}

void devices_destroy(struct devices *devices)
{
    if (devices == NULL) {
        return;
    }
    while (devices->first != NULL) {
        devices_unbind(devices, devices->first->id);
    }
    id_table_destroy(devices->by_id);
    free(devices->buckets);
    free(devices->found);
    free(devices);
}
