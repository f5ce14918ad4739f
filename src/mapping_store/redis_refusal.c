#include "mapping_store/redis_refusal.h"

#include <stddef.h>
#include <string.h>

static const char no_permission[] = "Redis does not permit this user what is asked";

/* What an error begins with. Redis before 7 puts the error of a command in a script behind that of
 * the script. */
static const struct {
    const char *error;
    const char *refusal;
} refusals[] = {
    {"WRONGPASS", "Redis does not accept the password"},
    {"ERR invalid password", "Redis does not accept the password"},
    {"ERR AUTH <password> called without", "Redis has no password, but one is given"},
    {"ERR Client sent AUTH, but no password", "Redis has no password, but one is given"},
    {"NOAUTH", "Redis asks for a password"},
    {"NOPERM", no_permission},
    {"ERR The user executing the script", no_permission},
    {"ERR ACL failure in script", no_permission},
    {"READONLY", "this Redis is a read-only replica"},
    {"OOM", "Redis is out of memory"},
    {"LOADING", "Redis is still loading its data"},
    {"MISCONF", "Redis cannot write its snapshot or its log to disk"},
    {"MASTERDOWN", "this Redis is a replica that has lost its master"},
    {"NOREPLICAS", "Redis has too few replicas to take writes"},
    {"BUSY", "Redis is busy with a script"},
    {"CLUSTERDOWN", "the Redis Cluster is down"},
    {"MOVED", "this Redis is a node of a cluster, which chatd cannot use"},
    {"DENIED", "Redis is in protected mode"},
    {"ERR max number of clients", "Redis has too many clients"},
    {"ERR DB index is out of range", "Redis does not have this database"},
    {"ERR unknown command", "this Redis does not know a command that is needed"},
};

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

const char *redis_refusal(const char *error)
{
    static const char in_script[] = ": -";
    if (begins_with(error, "ERR Error running script")) {
        const char *inner = strstr(error, in_script);
        error = inner != NULL ? inner + strlen(in_script) : error;
    }
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (begins_with(error, refusals[i].error)) {
            return refusals[i].refusal;
        }
    }
    return NULL;
}

bool redis_refusal_is_partial(const char *refusal)
{
    return refusal == no_permission;
}
