#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/mem.h"
#include "mapping_store/redis.h"

static struct name join(struct str a, struct str b, struct str c)
{
    struct name name;
    assert(a.len + b.len + c.len <= KEY_SIZE_MAX);
    memcpy(name.bytes, a.ptr, a.len);
    memcpy(name.bytes + a.len, b.ptr, b.len);
    memcpy(name.bytes + a.len + b.len, c.ptr, c.len);
    name.len = a.len + b.len + c.len;
    name.bytes[name.len] = '\0';
    return name;
}

struct name key_of_uid(struct str uid)
{
    return join(STR("chat_map_uid_fd:"), uid, STR(""));
}

struct name key_of_node_fds(struct str node)
{
    return join(STR("chat_node_fds:{"), node, STR("}"));
}

struct name key_of_node_queue(struct str node)
{
    return join(STR("chat_node_queue:{"), node, STR("}"));
}

static struct name key_of_fd(struct str fd)
{
    return join(STR("chat_map_fd_uid:"), fd, STR(""));
}

struct name fd_of(const struct redis_store *store, conn_id device)
{
    char number[24];
    snprintf(number, sizeof number, ".%" PRIu64, device);
    struct name fd = join(str_of(store->node), str_of(number), STR(""));
    assert(fd.len <= FD_SIZE_MAX);
    return fd;
}

static bool is_lower_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_name_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
}

bool node_name_of(struct str node, struct str *name)
{
    if (node.len < 1 + 1 + NODE_DIGITS || node.len > NODE_SIZE_MAX) {
        return false;
    }
    size_t name_len = node.len - NODE_DIGITS - 1;
    if (node.ptr[name_len] != '-') {
        return false;
    }
    for (size_t i = 0; i < name_len; i++) {
        if (!is_name_character(node.ptr[i])) {
            return false;
        }
    }
    for (size_t i = name_len + 1; i < node.len; i++) {
        if (!is_lower_hex(node.ptr[i])) {
            return false;
        }
    }
    *name = (struct str){node.ptr, name_len};
    return true;
}

/* The number at the end of 'fd' and where it begins, 0 if there is none: decimal, no leading
 * zero. */
static conn_id number_of_fd(struct str fd, size_t *begin)
{
    size_t i = fd.len;
    while (i > 0 && fd.ptr[i - 1] >= '0' && fd.ptr[i - 1] <= '9') {
        i--;
    }
    if (i == fd.len || fd.len > FD_SIZE_MAX || fd.ptr[i] == '0') {
        return CONN_NONE;
    }
    char digits[FD_SIZE_MAX + 1] = "";
    memcpy(digits, fd.ptr + i, fd.len - i);
    *begin = i;
    return strtoull(digits, NULL, 10);
}

struct str node_of_fd(struct str fd)
{
    struct str none = {NULL, 0};
    size_t begin = 0;
    if (number_of_fd(fd, &begin) == CONN_NONE || begin == 0 || fd.ptr[begin - 1] != '.') {
        return none;
    }
    struct str node = {fd.ptr, begin - 1};
    struct str name;
    return node_name_of(node, &name) ? node : none;
}

conn_id device_of_fd(const struct redis_store *store, struct str fd)
{
    size_t begin = 0;
    conn_id device = number_of_fd(fd, &begin);
    if (device == CONN_NONE) {
        return CONN_NONE;
    }
    /* Written again and compared: a number that is too large came out as another. */
    struct name ours = fd_of(store, device);
    return str_eq(name_str(&ours), fd) ? device : CONN_NONE;
}

static void write_set_and_key(struct batch *batch, struct str fd, struct str uid)
{
    struct name set = key_of_uid(uid);
    struct name key = key_of_fd(fd);
    char set_ttl[16];
    char fd_ttl[16];
    snprintf(set_ttl, sizeof set_ttl, "%d", SET_TTL_S);
    snprintf(fd_ttl, sizeof fd_ttl, "%d", FD_TTL_S);
    batch_ask(batch, (struct str[]){STR("SADD"), name_str(&set), fd}, 3);
    batch_ask(batch, (struct str[]){STR("EXPIRE"), name_str(&set), str_of(set_ttl)}, 3);
    batch_ask(batch, (struct str[]){STR("SETEX"), name_str(&key), str_of(fd_ttl), uid}, 4);
}

void traces_write(struct batch *batch, const struct redis_store *store, conn_id device,
                  struct str uid)
{
    struct name fd = fd_of(store, device);
    struct name journal = key_of_node_fds(str_of(store->node));
    batch_ask(batch, (struct str[]){STR("HSET"), name_str(&journal), name_str(&fd), uid}, 4);
    write_set_and_key(batch, name_str(&fd), uid);
}

void traces_write_many(struct batch *batch, const struct redis_store *store, const conn_id *devices,
                       size_t n)
{
    struct name journal = key_of_node_fds(str_of(store->node));
    struct name *fds = mem_alloc(n * sizeof *fds);
    struct str *args = mem_alloc((2 + 2 * n) * sizeof *args);
    size_t n_fds = 0;
    args[0] = STR("HSET");
    args[1] = name_str(&journal);
    for (size_t i = 0; i < n; i++) {
        struct str uid = devices_uid(store->devices, devices[i]);
        /* A device that is being bound is written by its bind; the uid it has here may be its
         * last. */
        if (uid.len == 0 || pending_uid(store->pending, devices[i]).len > 0) {
            continue;
        }
        fds[n_fds] = fd_of(store, devices[i]);
        args[2 + 2 * n_fds] = name_str(&fds[n_fds]);
        args[3 + 2 * n_fds] = uid;
        n_fds++;
    }
    if (n_fds > 0) {
        batch_ask(batch, args, 2 + 2 * n_fds);
    }
    for (size_t i = 0; i < n_fds; i++) {
        write_set_and_key(batch, args[2 + 2 * i], args[3 + 2 * i]);
    }
    free(args);
    free(fds);
}

void traces_remove_visible(struct batch *batch, struct str fd, struct str uid)
{
    if (uid.len <= UID_SIZE_MAX) { /* a longer one is nobody's */
        struct name set = key_of_uid(uid);
        batch_ask(batch, (struct str[]){STR("SREM"), name_str(&set), fd}, 3);
    }
    traces_remove_fd_key(batch, fd);
}

void traces_remove(struct batch *batch, struct str node, struct str fd, struct str uid)
{
    struct name journal = key_of_node_fds(node);
    traces_remove_visible(batch, fd, uid);
    batch_ask(batch, (struct str[]){STR("HDEL"), name_str(&journal), fd}, 3);
}

void traces_remove_fd_key(struct batch *batch, struct str fd)
{
    static const char prefix[] = "chat_map_fd_uid:";
    size_t len = sizeof prefix - 1 + fd.len;
    char *key = mem_alloc(len + 1);
    memcpy(key, prefix, sizeof prefix - 1);
    memcpy(key + sizeof prefix - 1, fd.ptr, fd.len);
    batch_ask(batch, (struct str[]){STR("DEL"), {key, len}}, 2);
    free(key);
}
