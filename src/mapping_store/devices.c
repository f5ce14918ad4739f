#include "mapping_store/devices.h"

#include <assert.h>
#include <stdlib.h>

#include "chat/id_table.h"
#include "chat/mem.h"
#include "chat/str_table.h"

/* A device stands in three places: the table by id, its user's list, and the line for
 * devices_rotate(). */
struct device {
    conn_id id;
    struct message_id behind;
    struct user *user;
    struct device *previous; /* in the line */
    struct device *next;
};

/* A uid with at least one device. Owned by the table of users. */
struct user {
    struct str_entry entry; /* its key, the uid, points to the bytes that follow this struct */
    conn_id *ids;           /* in the order in which they were bound */
    size_t n_ids;
    size_t capacity;
};

struct devices {
    struct id_table *by_id;
    struct str_table *users;
    struct device *first; /* of the line */
    struct device *last;
    conn_id *found; /* what is lent */
    size_t found_capacity;
};

struct devices *devices_create(void)
{
    struct devices *devices = mem_alloc(sizeof *devices);
    devices->by_id = id_table_create();
    devices->users = str_table_create();
    return devices;
}

static struct user *user_of(struct devices *devices, struct str uid)
{
    struct user *user = (struct user *)str_table_get(devices->users, uid);
    if (user != NULL) {
        return user;
    }
    user = mem_alloc(sizeof *user + uid.len);
    char *copy = (char *)(user + 1);
    memcpy(copy, uid.ptr, uid.len);
    user->entry.key = (struct str){copy, uid.len};
    str_table_add(devices->users, &user->entry);
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
    str_table_remove(devices->users, &user->entry);
    free(user->ids);
    free(user);
}

static void line_append(struct devices *devices, struct device *device)
{
    device->previous = devices->last;
    device->next = NULL;
    if (devices->last != NULL) {
        devices->last->next = device;
    } else {
        devices->first = device;
    }
    devices->last = device;
}

static void line_remove(struct devices *devices, struct device *device)
{
    if (device->previous != NULL) {
        device->previous->next = device->next;
    } else {
        devices->first = device->next;
    }
    if (device->next != NULL) {
        device->next->previous = device->previous;
    } else {
        devices->last = device->previous;
    }
}

void devices_bind(struct devices *devices, conn_id id, struct str uid, struct message_id behind)
{
    assert(id != CONN_NONE && uid.len > 0);
    struct device *device = id_table_get(devices->by_id, id);
    if (device != NULL && str_eq(device->user->entry.key, uid)) {
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
        device->behind = behind;
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
    return device != NULL ? device->user->entry.key : (struct str){NULL, 0};
}

static void reserve_found(struct devices *devices, size_t n)
{
    if (n > devices->found_capacity) {
        devices->found_capacity = n * 2;
        devices->found =
            mem_realloc(devices->found, devices->found_capacity * sizeof *devices->found);
    }
}

size_t devices_find(struct devices *devices, struct str uid, const conn_id **out)
{
    const struct user *user = (const struct user *)str_table_get(devices->users, uid);
    *out = devices->found;
    if (user == NULL) {
        return 0;
    }
    reserve_found(devices, user->n_ids);
    memcpy(devices->found, user->ids, user->n_ids * sizeof *user->ids);
    *out = devices->found;
    return user->n_ids;
}

size_t devices_bound_before(struct devices *devices, struct message_id id, const conn_id **out)
{
    size_t n = 0;
    reserve_found(devices, devices_count(devices));
    for (const struct device *device = devices->first; device != NULL; device = device->next) {
        if (message_id_compare(device->behind, id) < 0) {
            devices->found[n++] = device->id;
        }
    }
    *out = devices->found;
    return n;
}

void devices_bound_before_all(struct devices *devices)
{
    for (struct device *device = devices->first; device != NULL; device = device->next) {
        device->behind = MESSAGE_ID_NONE;
    }
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
    *uid = device->user->entry.key;
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
    str_table_destroy(devices->users);
    free(devices->found);
    free(devices);
}
