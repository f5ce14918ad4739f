#include "router/signing.h"

#include <stdlib.h>
#include <string.h>

#include "chat/mem.h"
#include "chat/str_table.h"

struct signing {
    struct str_table *uids; /* of struct entry */
};

struct entry {
    struct str_entry base;
    size_t n_signs;
    struct known known;
    char uid[];
};

struct signing *signing_create(void)
{
    struct signing *signing = mem_alloc(sizeof *signing);
    signing->uids = str_table_create();
    return signing;
}

void signing_destroy(struct signing *signing)
{
    str_table_destroy(signing->uids);
    free(signing);
}

static struct entry *entry_of(const struct signing *signing, struct str uid)
{
    return (struct entry *)str_table_get(signing->uids, uid);
}

void signing_begin(struct signing *signing, struct str uid)
{
    struct entry *entry = entry_of(signing, uid);
    if (entry == NULL) {
        entry = mem_alloc(sizeof *entry + uid.len);
        memcpy(entry->uid, uid.ptr, uid.len);
        entry->base.key = (struct str){entry->uid, uid.len};
        str_table_add(signing->uids, &entry->base);
    }
    entry->n_signs++;
}

struct known signing_end(struct signing *signing, struct str uid)
{
    struct entry *entry = entry_of(signing, uid);
    struct known known = entry->known;
    entry->n_signs--;
    if (entry->n_signs == 0) {
        str_table_remove(signing->uids, &entry->base);
        free(entry);
    }
    return known;
}

void signing_note(struct signing *signing, struct str uid, struct message_id id, bool is_from_node)
{
    if (str_table_count(signing->uids) == 0) {
        return; /* as most of the time: no hash is needed */
    }
    struct entry *entry = entry_of(signing, uid);
    if (entry != NULL) {
        known_raise(&entry->known, id, is_from_node);
    }
}
